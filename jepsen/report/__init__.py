"""The page of a run of real processes: `index.html`, readable without the network.

Rule of this package: it reads what a run left behind, and runs and judges nothing itself.
"""
