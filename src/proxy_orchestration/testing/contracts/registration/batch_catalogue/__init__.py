"""
What a batch catalogue promises: accepting, reading, listing and removing batches.
"""
