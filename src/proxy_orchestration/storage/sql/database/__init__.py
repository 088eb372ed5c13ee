"""
The database itself: engines, transactions, errors, and its schema brought up to date.
"""
