"""Workloads that only real processes run; all others are the simulator's.

Rule of this package: as in `sim.workloads`, tables of intents and their performers, without I/O.
"""
