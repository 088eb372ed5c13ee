"""
What a run ledger promises: runs that are opened, driven by one, settled and cancelled.
"""
