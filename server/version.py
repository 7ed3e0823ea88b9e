"""Which Trine this is, and which etcd it says it is.

Rule: the two are never mixed. Clients that choose their behaviour by version are told etcd's, since
it is etcd's API they choose by; people and logs are told Trine's.
"""

from __future__ import annotations

from typing import Final

TRINE_VERSION: Final = "0.1.0"
# RangeStream is served, which is what 3.7 means to kube-apiserver.
ETCD_VERSION: Final = "3.7.0"
