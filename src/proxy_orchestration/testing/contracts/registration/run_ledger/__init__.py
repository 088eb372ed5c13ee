"""
What a run ledger promises: opening, driving, settling and cancelling runs.
"""
