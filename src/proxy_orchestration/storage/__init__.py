"""
Stores of batches, runs and records, one package for each kind of store.
"""
