"""
Before a run exists: who may, what conflicts, what becomes of each item.
"""
