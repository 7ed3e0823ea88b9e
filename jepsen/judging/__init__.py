"""What the simulator's checkers do not judge: lists, locks, what members' witnesses agree on.

Rule of this package: it sees histories and the checkers' model, and nothing of any server.
"""
