"""
Where SQLite and PostgreSQL need different words: nowhere else is a dialect's name tested.
"""
