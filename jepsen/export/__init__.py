"""Histories in the shapes of other checkers, so that a verdict need not be believed.

Rule of this package: a function of a history; what a shape cannot tell is refused or counted, never
bent.
"""
