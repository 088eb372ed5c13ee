"""
Batches, runs, outcomes and activities in SQL: both of registration's stores.
"""
