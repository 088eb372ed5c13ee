"""
Row-level security: the script that keeps clients of the database to what is theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_SCRIPT: Final = Path(__file__).with_name("row_level_security.sql")


def row_level_security() -> str:
    """
    Return the SQL that closes every table of this library to clients, and opens what they may read.

    One script for PostgreSQL and for Supabase, of many statements, without
    parameters. Run it as the owner of the tables and in one transaction,
    after `create_schema` and again after each upgrade of the library; to run
    it again changes nothing. It makes the roles `anon`, `authenticated` and
    `proxy_orchestration_service` where they are missing.
    """
    return _SCRIPT.read_text(encoding="utf-8")
