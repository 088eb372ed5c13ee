"""
The two flows share no value: each crossing below is an error, or its ignore would be unused.
"""

from __future__ import annotations

from typing import assert_type

from proxy_orchestration.registration.flow import (
    BulkDraft,
    BulkDraftEdited,
    BulkEffect,
    BulkEntered,
    BulkForm,
    BulkIdle,
    BulkSelecting,
    BulkStep,
    BulkTriedAgain,
    RegisterSingle,
    SingleCallFailed,
    SingleDraft,
    SingleDraftEdited,
    SingleEntered,
    SingleForm,
    SingleIdle,
    SingleSelecting,
    SingleStep,
    bulk_flow_after,
    single_flow_after,
)


def stay_in_one_flow() -> None:
    """
    Say what each flow gives.
    """
    bulk = bulk_flow_after(BulkIdle(), BulkEntered())
    single = single_flow_after(SingleIdle(), SingleEntered())
    assert_type(bulk, BulkStep)
    assert_type(single, SingleStep)
    assert_type(bulk.effects, tuple[BulkEffect, ...])
    assert_type(single.effects, tuple[RegisterSingle, ...])


def cross_over() -> None:
    """
    Try what must not work.
    """
    bulk_flow_after(SingleIdle(), BulkEntered())  # type: ignore[arg-type]  # a state of the other flow
    bulk_flow_after(BulkIdle(), SingleEntered())  # type: ignore[arg-type]  # an event of the other flow
    single_flow_after(BulkIdle(), SingleEntered())  # type: ignore[arg-type]  # a state of the other flow
    single_flow_after(SingleIdle(), BulkTriedAgain())  # type: ignore[arg-type]  # an event of the other flow
    BulkSelecting(form=SingleForm())  # type: ignore[arg-type]  # a form of the other flow
    SingleSelecting(form=BulkForm())  # type: ignore[arg-type]  # a form of the other flow
    BulkDraftEdited(draft=SingleDraft())  # type: ignore[arg-type]  # a draft of the other flow
    SingleDraftEdited(draft=BulkDraft())  # type: ignore[arg-type]  # a draft of the other flow
    SingleCallFailed(token=BulkIdle().token, error=OSError())  # type: ignore[arg-type]  # a token of the other flow
