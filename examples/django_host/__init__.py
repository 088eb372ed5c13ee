"""
A Django project with models of its own: `python -m examples.django_host` starts it.

It needs `pip install 'proxy-orchestration[sql]' django`, and `[postgresql]` for a PostgreSQL.
"""
