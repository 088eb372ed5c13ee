"""
What a page of items reads and decodes on the SQL store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import event

from proxy_orchestration.registration.activities import ProxyActivity, decode_activity
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.storage.sql.registration import item_pages
from proxy_orchestration.testing.contracts.registration.samples import settled_batch

_DONE, _FAILED = ItemState.SUCCEEDED, ItemState.FAILED
_STATES: Final = [*[_FAILED] * 40, _DONE, *[_FAILED] * 39]


@pytest.mark.parametrize(
    ("states", "after", "shown"),
    [(None, 0, 3), (None, 77, 3), ({_DONE}, 0, 1), ({ItemState.CANCELLED}, 0, 0)],
)
async def test_only_activities_that_are_shown_are_decoded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    states: set[ItemState] | None,
    after: int,
    shown: int,
) -> None:
    """
    Each one and its one entry of history; what was looked at to find them is not.
    """
    decoded: list[str] = []

    def decode(text: str) -> ProxyActivity:
        decoded.append(text)
        return decode_activity(text)

    monkeypatch.setattr(item_pages, "decode_activity", decode)
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'own.db'}") as repository:
        batch_id = await settled_batch(repository, *_STATES)
        page = await repository.read_item_page(batch_id, states=states, after=after, limit=3)

    assert shown == len(page.items)
    assert 2 * shown == len(decoded)


async def test_a_page_of_any_state_is_all_that_is_read(tmp_path: Path) -> None:
    """
    With the one item that tells whether there is another page.
    """
    asked: list[dict[str, int]] = []
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'own.db'}") as repository:
        batch_id = await settled_batch(repository, *_STATES)

        @event.listens_for(repository.engine, "before_execute")
        def note(
            _connection: object, clause: object, _many: object, values: dict[str, int], _: object
        ) -> None:
            if "items.activity" in str(clause):
                asked.append(values)

        page = await repository.read_item_page(batch_id, states=None, after=10, limit=20)

    assert (20, 30) == (len(page.items), page.next_after)
    assert [(10, 30)] == [(one["low"], one["high"]) for one in asked]
