"""
Our words and the wire's: each has one, and the guide's table is the code's.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

pytest.importorskip("fastapi")

from proxy_orchestration import (
    BulkStatus,
    ConflictDecision,
    ConflictKind,
    ConflictPolicy,
    ItemState,
    SubmissionMode,
)
from proxy_orchestration.ports import Audience
from proxy_orchestration.web import words
from proxy_orchestration.web.wire import batches, expiry

pytestmark = pytest.mark.dateless

PAGE = Path(__file__).parents[2] / "docs" / "guide-web.md"
TABLES = (
    (words.BATCH_WORDS, words.BatchWord),
    (words.ITEM_WORDS, words.ItemWord),
    (words.TIER_WORDS, words.TierWord),
    (words.NOTICE_WORDS, words.NoticeWord),
    (words.RUN_WORDS, words.RunWord),
    (words.CAUSE_WORDS, words.CauseWord),
)


@pytest.mark.parametrize(("table", "word"), TABLES)
def test_every_member_has_a_word_and_every_word_is_used(table: Mapping[enum.Enum, str], word: Any) -> None:
    """
    A new member has to be given one.
    """
    (kind,) = {type(member) for member in table}

    assert set(kind) == set(table)
    assert set(get_args(word)) == set(table.values())


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (SubmissionMode, batches.ModeWord),
        (ConflictPolicy, batches.PolicyWord),
        (ConflictDecision, batches.DecisionWord),
        (ConflictKind, batches.FoundConflict.model_fields["kind"].annotation),
        (Audience, expiry.Notice.model_fields["audience"].annotation),
    ],
)
def test_words_that_are_ours_on_the_wire_too_are_the_same(kind: type[enum.Enum], word: Any) -> None:
    """
    They have no table.
    """
    assert {member.value for member in kind} == set(get_args(word))


def test_the_guide_has_the_table_of_words() -> None:
    """
    Each of ours beside the wire's.
    """
    rows = re.findall(r"^\| `(\w+\.\w+)` \| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    told = {f"{type(ours).__name__}.{ours.name}": word for table, _ in TABLES for ours, word in table.items()}

    assert told == dict(rows)


def test_filters_take_all_that_a_word_stands_for() -> None:
    """
    `processing` is a batch that nobody drives yet, too.
    """
    assert {BulkStatus.PENDING, BulkStatus.RUNNING} == words.statuses_of(["processing"])
    assert {ItemState.FAILED, ItemState.UNKNOWN} == words.states_of(["failed", "unknown"])
    assert words.statuses_of([]) is words.states_of([]) is None
