"""
Notices that older code wrote beside this version keep the text that they were written with.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

import attrs
from sqlalchemy import Engine, create_engine, text

from proxy_orchestration import NoticeWords
from proxy_orchestration.storage.sql import SqlNotificationRepository, create_schema
from proxy_orchestration.testing.contracts.notification.samples import (
    ENDS,
    MORNING,
    chunk_of,
    draft_of,
    run_with,
    the_push,
)

pytestmark = pytest.mark.one_loop


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True))]
)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """
    A database of this version.
    """
    url: Any = f"sqlite:///{tmp_path / 'notices.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("bare_postgresql_url")
    engine = create_engine(url)
    create_schema(engine)
    yield engine
    engine.dispose()


async def test_a_notice_without_what_its_words_are_made_of_is_sent_as_it_was_written(engine: Engine) -> None:
    """
    The columns are empty where code of the revision before wrote the row.
    """
    store = SqlNotificationRepository(engine)
    draft = draft_of()
    notice = attrs.evolve(draft.notice, expires=ENDS.date(), holder_name="Kari", locale="en")
    await run_with(store, chunk_of(attrs.evolve(draft, notice=notice)))
    with engine.begin() as connection:
        emptied = "UPDATE notifications SET last_valid_day = NULL, holder_name = NULL, locale = NULL"
        connection.execute(text(emptied))

    told = (await the_push(store)).notice

    assert told is not None
    assert (None, "", None) == (told.expires, told.holder_name, told.locale)
    assert notice.body == NoticeWords().as_of(told, MORNING, locale="en").body
