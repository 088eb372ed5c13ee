"""
By which way clients' questions reach their rows, under the policies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

pytest.importorskip("psycopg")

import psycopg
from client_worlds import World, become, claims

pytestmark = pytest.mark.postgresql

# A hundred organizations of twenty batches of ten mentors.
_FILL: Final = """
SET LOCAL session_replication_role = replica;
INSERT INTO batches SELECT n + 1000, 'b-' || n, 'org-' || n / 20, 'c-' || n / 10, NULL, 10, now(), 1,
  'independent', 'review' FROM generate_series(0, 1999) AS n;
INSERT INTO items SELECT n / 10 + 1000, n, 'm-' || n, '{}' FROM generate_series(0, 19999) AS n;
INSERT INTO runs SELECT n + 1000, 1, '{}', now(), 10, 0, 10 FROM generate_series(0, 1999) AS n;
INSERT INTO outcomes SELECT n / 10 + 1000, n, 1, n, 'succeeded', NULL, NULL, NULL, NULL, NULL, 1, now(),
  0, false FROM generate_series(0, 19999) AS n;
INSERT INTO activities SELECT 'a-' || n, 'r-' || n, 'k', 'b-' || n / 10, 'org-' || n / 200, 'c',
  'coordinator', 'm-' || n / 4, 'walk', '2026-11-02', 30, '', '{}', NULL, now()
  FROM generate_series(0, 19999) AS n;
INSERT INTO acknowledgements SELECT n + 1000, 'n-' || n, 'm', 't', 'lapsed', 'c', now(), '', 'org-' || n / 100
  FROM generate_series(0, 9999) AS n;
INSERT INTO notifications SELECT 'n-' || n, 'm-' || n, 't', 'lapsed', '2026-11-02', 'mentor', 'm-' || n / 4,
  'pending', '', '', NULL, now(), now(), NULL, NULL, '' FROM generate_series(0, 9999) AS n;
ANALYZE batches, items, runs, outcomes, activities, acknowledgements, notifications;
SET LOCAL session_replication_role = origin;
"""
QUESTIONS: Final = [
    "SELECT label FROM batches",
    "SELECT batch_id FROM batches ORDER BY submitted_at DESC, id DESC LIMIT 20",
    "SELECT mentor_id FROM items",
    "SELECT mentor_id FROM items WHERE batch = 1147",
    "SELECT status FROM runs",
    "SELECT state FROM outcomes",
    "SELECT recorded_at FROM activities",
    "SELECT threshold_tier FROM acknowledgements",
    "SELECT title FROM notifications",
]


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[psycopg.Connection[Any]]:
    """
    A coordinator of one organization among a hundred.
    """
    with world.login("tester") as connection:
        connection.execute(_FILL)
        become(connection, "authenticated", claims("m-7", "coordinator", organization_id="org-7"))
        yield connection


@pytest.mark.parametrize("world", ["plain"], indirect=True)
@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_one_s_own_is_found_by_an_index(client: psycopg.Connection[Any], question: str) -> None:
    """
    No table is read through, and who asks is found out once, not for every row.
    """
    (plan,) = client.execute(f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {question}").fetchone()
    nodes = list(_nodes(plan[0]["Plan"]))

    assert plan[0]["Plan"]["Actual Rows"] > 0
    assert [] == [node for node in nodes if node["Node Type"] == "Seq Scan"]
    assert [] == [node for node in nodes if node.get("Rows Removed by Filter")]
    assert {1} == {node["Actual Loops"] for node in nodes}
    assert [] == [node for node in nodes if "proxy_orchestration_auth" in f"{node | {'Plans': []}}"]


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
