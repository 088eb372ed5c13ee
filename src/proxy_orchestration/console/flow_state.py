"""
Stores the state of the bulk flow between two pages, as JSON in a form.

Nothing of it is trusted. Whoever changes it changes what they themselves asked for; the orchestrator
checks the actor, the mentors and the conflicts again when it is submitted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, TypeVar

import attrs

from proxy_orchestration._plain_json import plain
from proxy_orchestration.console.forms import FormError
from proxy_orchestration.console.languages import marked
from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.registration.conflicts import Conflict, ConflictPolicy, ConflictReport
from proxy_orchestration.registration.flow import (
    BulkConflictsFound,
    BulkDraft,
    BulkForm,
    BulkReviewing,
    BulkSelecting,
    BulkStep,
    BulkSubmitted,
    CheckBulkConflicts,
    bulk_flow_after,
)
from proxy_orchestration.registration.requests import BulkRegistrationRequest, SubmissionMode

T = TypeVar("T")

_CHANGED: Final = marked("This form was changed on its way. Reload the page.")
_DRAFT: Final = ("activity_type", "activity_date", "duration_minutes", "notes", "details")


@attrs.frozen(kw_only=True)
class Checked:
    """
    A submission that was checked and not sent yet.

    Attributes:
        form: what was chosen.
        idempotency_key: the submission's; sent twice it is one batch.
        report: what was found.
    """

    form: BulkForm
    idempotency_key: str
    report: ConflictReport

    @property
    def checking(self) -> BulkStep:
        """
        Return the flow's step to the question whether there are conflicts.
        """
        return bulk_flow_after(
            BulkSelecting(form=self.form), BulkSubmitted(idempotency_key=self.idempotency_key)
        )

    @property
    def answered(self) -> BulkStep:
        """
        Return the flow's step once the question is answered: under review, or about to be submitted.
        """
        step = self.checking
        return bulk_flow_after(step.state, BulkConflictsFound(token=step.state.token, report=self.report))

    @property
    def reviewing(self) -> BulkReviewing | None:
        """
        Return the review that is to be decided first, `None` without conflicts.
        """
        state = self.answered.state
        return state if isinstance(state, BulkReviewing) else None

    @property
    def request(self) -> BulkRegistrationRequest:
        """
        Return what was checked.
        """
        (effect,) = self.checking.effects
        assert isinstance(effect, CheckBulkConflicts)  # noqa: S101 - a submission that is complete is checked
        return effect.request


def written_form(form: BulkForm) -> str:
    """
    Return what was chosen, as JSON.
    """
    return json.dumps(_plain_form(form), ensure_ascii=False)


def read_form_state(text: str) -> BulkForm:
    """
    Return what `written_form` wrote; nothing chosen where nothing came.

    Raises:
        FormError: it is not what a page of ours wrote.
    """
    return BulkForm() if not text else _read(text, _form)


def written_check(checked: Checked) -> str:
    """
    Return a checked submission as JSON.
    """
    report = checked.report
    return json.dumps(
        {
            "form": _plain_form(checked.form),
            "key": checked.idempotency_key,
            "conflicts": [plain(conflict) for conflict in report.conflicts],
            "refused": list(report.refused),
        },
        ensure_ascii=False,
    )


def read_check(text: str) -> Checked:
    """
    Return what `written_check` wrote.

    Raises:
        FormError: it is not what a page of ours wrote.
    """
    return _read(text, _checked)


def _read(text: str, build: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return build(json.loads(text))
    except (OrchestrationError, ValueError, KeyError, TypeError, RecursionError):
        raise FormError(_CHANGED) from None


def _plain_form(form: BulkForm) -> Mapping[str, Any]:
    return {
        "mentors": list(form.mentor_ids),
        "label": form.label,
        "mode": form.mode.value,
        "on_conflict": form.on_conflict.value,
        "draft": {name: plain(getattr(form.draft, name)) for name in _DRAFT},
    }


def _form(fields: Mapping[str, Any]) -> BulkForm:
    draft = dict(fields["draft"])
    day = draft.pop("activity_date")
    mentor_ids = fields["mentors"]
    if not isinstance(mentor_ids, list) or not all(isinstance(each, str) and each for each in mentor_ids):
        raise FormError(_CHANGED)
    return BulkForm(
        draft=BulkDraft(activity_date=None if day is None else date.fromisoformat(day), **draft),
        mentor_ids=tuple(dict.fromkeys(mentor_ids)),
        label=fields["label"],
        mode=SubmissionMode(fields["mode"]),
        on_conflict=ConflictPolicy(fields["on_conflict"]),
    )


def _checked(fields: Mapping[str, Any]) -> Checked:
    form = _form(fields["form"])
    conflicts = tuple(Conflict(**conflict) for conflict in fields["conflicts"])
    refused = tuple(fields["refused"])
    elsewhere = {*refused, *(conflict.mentor_id for conflict in conflicts)}
    checked = Checked(
        form=form,
        idempotency_key=fields["key"],
        report=ConflictReport(
            conflicts=conflicts,
            clean=tuple(each for each in form.mentor_ids if each not in elsewhere),
            refused=refused,
        ),
    )
    # The flow refuses a report that is not about these mentors, and a form that is not complete.
    if checked.checking.refusal or checked.answered.refusal:
        raise FormError(_CHANGED)
    return checked
