"""The command line: the desk's orders and answers for a terminal and for scripts.

Invariant: only this package prints.
"""
