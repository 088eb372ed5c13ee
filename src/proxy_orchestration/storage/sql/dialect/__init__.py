"""
The differences between SQLite and PostgreSQL; only this package checks the name of a dialect.
"""
