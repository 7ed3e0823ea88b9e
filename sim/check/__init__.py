"""Judges of histories: which published guarantee a run broke.

Rule of this package: it sees `sim.ops` and `sim.history` and nothing of the product; it keeps its
own model of etcd. The simulator and the harness over real processes share it.
"""
