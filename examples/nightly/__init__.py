"""
A night of a chapter with certificates of its own: `python -m examples.nightly` plays it.

It needs `pip install 'proxy-orchestration[sql,fcm]'`, and `[postgresql]` for a PostgreSQL.
"""
