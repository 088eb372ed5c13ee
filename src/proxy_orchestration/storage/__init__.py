"""
Where batches, runs and records are kept: one room per kind of store.
"""
