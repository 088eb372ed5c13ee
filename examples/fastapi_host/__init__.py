"""
A FastAPI service with a table of its own: `python -m examples.fastapi_host` starts it.

It needs `pip install 'proxy-orchestration[sql,web]'`, and `[postgresql]` for a PostgreSQL.
"""
