"""The database: the only importer of SQLAlchemy; named questions, named writes, values out.

Invariant: nothing in here commits but :mod:`distributor.store.database`, and no row object
leaves: callers get frozen values and hand in an open transaction as ``tx``.
"""
