"""
Bulk registration on behalf of others.
"""
