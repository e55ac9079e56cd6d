"""What happens by itself, in order: scheduling, preparing, dispatch, keeping.

Invariant: stages meet only in database rows; none of them imports another.
"""
