"""How a call ends where the server's own status does not say it.

Rule of this file: numbers of gRPC, and one that is none; nothing is imported.
"""

UNAVAILABLE = 14
UNTAKEN = 100
"""No status of gRPC: the server provably never began the call."""
