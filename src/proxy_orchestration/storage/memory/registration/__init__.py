"""
Batches, runs, audit events and activities in memory.
"""
