"""
The two ways for hosts with an Alembic environment of their own, as the guide writes them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, create_engine, inspect

from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema, metadata
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE
from proxy_orchestration.testing.contracts.registration.samples import accepted, batch_of

_GUIDE = Path(__file__).parents[2] / "docs" / "guide-storage.md"
_TEMPLATE = """
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}
%s

def upgrade():
    ${upgrades if upgrades else "pass"}
"""


def _environments() -> list[str]:
    """
    Return the guide's two `env.py`, in its order.
    """
    blocks = _GUIDE.read_text(encoding="utf-8").split("```text\n")
    return [block.partition("```")[0] for block in blocks if block.startswith("from alembic import context")]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """
    The host's database, without any table.
    """
    url: Any = f"sqlite:///{tmp_path / 'host.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("bare_postgresql_url")
    engine = create_engine(url)
    yield engine
    engine.dispose()


def _config(folder: Path, url: URL, environment: str, line: str = "") -> Config:
    """
    Write the host's environment and return its configuration.
    """
    (folder / "alembic" / "versions").mkdir(parents=True)
    (folder / "alembic" / "env.py").write_text(environment, encoding="utf-8")
    (folder / "alembic" / "script.py.mako").write_text(_TEMPLATE % line, encoding="utf-8")
    config = Config()
    config.set_main_option("script_location", str(folder / "alembic"))
    config.set_main_option("sqlalchemy.url", url.render_as_string(hide_password=False).replace("%", "%%"))
    return config


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="alembic")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_side_by_side_a_host_s_autogenerate_leaves_our_tables_alone(
    engine: Engine, tmp_path: Path
) -> None:
    """
    Nothing to change, and nothing is dropped by the migration that it writes.
    """
    config = _config(tmp_path, engine.url, _environments()[0])
    create_schema(engine)
    command.revision(config, autogenerate=True)
    command.upgrade(config, "head")
    create_schema(engine)

    command.check(config)
    assert {*metadata.tables, VERSION_TABLE} < set(inspect(engine).get_table_names())
    store = SqlActivityRepository(engine)
    assert await store.get(await accepted(store, batch_of(2))) is not None


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_in_a_host_s_own_chain_autogenerate_writes_our_tables(engine: Engine, tmp_path: Path) -> None:
    """
    Once: the next look finds nothing to change, and the store works without our own stamp.
    """
    line = "import proxy_orchestration.storage.sql.schema"
    assert f"`{line}`" in _GUIDE.read_text(encoding="utf-8")
    config = _config(tmp_path, engine.url, _environments()[1], line)
    command.revision(config, autogenerate=True)
    command.upgrade(config, "head")

    command.check(config)
    assert VERSION_TABLE not in inspect(engine).get_table_names()
    store = SqlActivityRepository(engine)
    assert await store.get(await accepted(store, batch_of(2))) is not None
