"""
The standard registration service: checks the rules, writes one record per registration.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

import attrs

from proxy_orchestration._arguments import of_kind
from proxy_orchestration._normal_forms import id_form
from proxy_orchestration._validators import is_positive
from proxy_orchestration._wiring import check_functions, check_parts
from proxy_orchestration.access import AccessPolicy, Actor, CoordinatorAccess
from proxy_orchestration.audit import LoggingAuditLogger, RegistrationAuditLogger
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import (
    DuplicateActivityError,
    OutcomeUnknownError,
    RecordRefusedError,
    RegistrationRejected,
)
from proxy_orchestration.ids import IdRule, usual_id_rule
from proxy_orchestration.registration.activities import (
    ActivityRecord,
    ProxyActivity,
    ProxyRegistration,
    RegistrationFailure,
    RegistrationReceipt,
)
from proxy_orchestration.registration.arguments import check_arguments, check_record_cursor
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.conflicts import Conflict, ConflictKind
from proxy_orchestration.registration.ports import ActivityRecords
from proxy_orchestration.registration.reasons import DUPLICATE, ROLLED_BACK
from proxy_orchestration.registration.records import CorrectionNote, RecordFilter, RecordPage
from proxy_orchestration.registration.standard.checks import (
    RECORD_REFUSED,
    CheckedRecords,
    DuplicateRule,
    RegistrationRules,
    activity_id_of,
    same_mentor_type_and_day,
)
from proxy_orchestration.registration.standard.records import CorrectionRequest, RegisteredActivities
from proxy_orchestration.registration.standard.single import (
    DuplicateWarning,
    ProxyActivityResult,
    SingleRegistrations,
)

__all__ = ["RegistrationRules", "StandardRegistrationService"]

_is_warning = of_kind(DuplicateWarning)

_Answer = RegistrationReceipt | RegistrationFailure


@attrs.define(eq=False, kw_only=True)
class StandardRegistrationService:
    """
    Registers activities in an `ActivityRecords` store, one by one or many at once.

    It looks for the registration's own record first. Then it checks role, scope, attribution and
    dates. All failing checks are reported together, and the first one gives the code. The store
    checks for duplicates in the transaction that writes, so of two simultaneous calls one is
    registered, and the other is a duplicate.

    Args:
        repository: stores the activities.
        clock: gives the current day, in UTC.
        rules: how far in the future or past an activity's date may be.
        access_policy: decides who may register, and for whom; asked once per call.
        duplicate_rule: decides which registrations are duplicates of each other.
        audit_logger: is given an event of every single registration, once and on a best-effort
            basis. A batch's run has its own event.
        audit_timeout: the longest time of a call of the audit logger, in seconds.
        id_rule: decides which mentor ids a new single registration may have. The orchestrator
            checks those of batches.

    Raises:
        MisconfiguredError: a part is unsuitable; the message says what to do.
    """

    repository: ActivityRecords
    clock: Clock = attrs.field(factory=SystemClock)
    rules: RegistrationRules = attrs.field(factory=RegistrationRules)
    access_policy: AccessPolicy = attrs.field(factory=CoordinatorAccess)
    duplicate_rule: DuplicateRule = same_mentor_type_and_day
    audit_logger: RegistrationAuditLogger = attrs.field(factory=LoggingAuditLogger)
    audit_timeout: float = attrs.field(default=2.0, validator=is_positive)
    id_rule: IdRule = usual_id_rule
    _records: CheckedRecords = attrs.field(init=False)
    _singles: SingleRegistrations = attrs.field(init=False)
    _registered: RegisteredActivities = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        check_parts(
            self,
            repository=ActivityRecords,
            clock=Clock,
            rules=RegistrationRules,
            access_policy=AccessPolicy,
            audit_logger=RegistrationAuditLogger,
        )
        check_functions(self, "duplicate_rule", "id_rule")
        self._records = CheckedRecords(
            repository=self.repository,
            clock=self.clock,
            rules=self.rules,
            access_policy=self.access_policy,
            duplicate_rule=self.duplicate_rule,
        )
        self._singles = SingleRegistrations(
            records=self._records,
            audit_logger=self.audit_logger,
            audit_timeout=self.audit_timeout,
            id_rule=self.id_rule,
        )
        self._registered = RegisteredActivities(
            repository=self.repository, clock=self.clock, access_policy=self.access_policy
        )

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Write the registration's one record, or return the receipt of the one that exists.

        Raises:
            RegistrationRejected: with code `not_a_coordinator`, `out_of_scope`,
                `self_attribution`, `date_in_future`, `date_too_old` or `record_refused`.
            DuplicateActivityError: another registration's record conflicts.
            RegistrationUnavailable: the access policy or the store could not be asked, or the store
                reports that nothing was written.
            OutcomeUnknownError: the store failed while it was writing.
        """
        (failing,) = await self._records.reasons_against([registration])
        if failing:
            # Whatever changed since it was written, its record answers first; decision 29.
            existing = await self._records.existing([registration])
            if existing:
                return _receipt(existing[registration.registration_id])
            raise RegistrationRejected(failing[0].code, _said_together(failing))
        try:
            (answer,) = await self._records.add([registration], atomic=False)
        except RecordRefusedError as error:
            raise RegistrationRejected(RECORD_REFUSED, str(error)) from error
        if answer.registration.registration_id != registration.registration_id:
            raise DuplicateActivityError(answer.activity_id)
        return _receipt(answer)

    async def register_many(
        self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool
    ) -> Sequence[RegistrationReceipt | RegistrationFailure]:
        """
        Write the records of many registrations in one transaction, and answer each in order.

        Raises:
            RegistrationUnavailable, OutcomeUnknownError: as `register` does, for all of them.
            RegistrationRejected: with `atomic`, the store refused one of them; none was written.
            RecordRefusedError: without `atomic`, the store refused one of them; none was written.
        """
        if not registrations:
            return ()
        failing = await self._records.reasons_against(registrations)
        answers: dict[str, _Answer] = {}
        if any(failing):
            doubtful = registrations if atomic else _those(registrations, failing, refused=True)
            existing = await self._records.existing(doubtful)
            answers = {name: _receipt(record) for name, record in existing.items()}
            for registration, reasons in zip(registrations, failing, strict=True):
                if reasons:
                    answers.setdefault(registration.registration_id, _refusal(registration, reasons))
        if not atomic:
            answers |= await self._written(_those(registrations, failing, refused=False), atomic=False)
        elif not any(isinstance(answer, RegistrationFailure) for answer in answers.values()):
            answers |= await self._written(registrations, atomic=True)
        else:
            answers = await self._rolled_back(registrations, answers)
        return [answers[registration.registration_id] for registration in registrations]

    async def register_proxy_activity(
        self, mentor_id: str, activity: ProxyActivity, *, actor: Actor, idempotency_key: str
    ) -> ProxyActivityResult:
        """
        Register one activity for one mentor, without a batch.

        Args:
            mentor_id: the mentor for whom the activity is registered.
            activity: the activity to register.
            actor: the person who registers; the record is attributed to this person.
            idempotency_key: a key of the caller's form; the same key always means the same record.

        Raises:
            NotAuthorizedError: the actor's roles do not allow it; nothing was read.
            InvalidValueError: the mentor's id or the key is empty, too long or not printable, or
                `id_rule` refuses the id.
            IdempotencyKeyReusedError: the key was used before with another mentor or activity.
            RegistrationUnavailable: the access policy could not be asked; nothing was written.
            RepositoryUnavailableError: the store failed; repeat the call with the same key.
        """
        check_arguments(mentor_id=mentor_id, activity=activity, actor=actor, idempotency_key=idempotency_key)
        return await self._singles.register(mentor_id, activity, actor=actor, idempotency_key=idempotency_key)

    async def confirm_despite_duplicate(
        self, warning: DuplicateWarning, *, actor: Actor
    ) -> ProxyActivityResult:
        """
        Register the activity although the record of the warning exists, and store that in the new record.

        Only that record is overridden. If another record conflicts by now, there is another
        warning. If none conflicts any longer, the activity is registered as usual. Raises the
        errors of `register_proxy_activity`.
        """
        check_arguments(actor=actor)
        _is_warning("warning", warning)
        return await self._singles.confirm(warning, actor=actor)

    async def list_activities(  # noqa: PLR0913 - what a list is narrowed by
        self,
        *,
        actor: Actor,
        mentor_ids: Collection[str] | None = None,
        coordinator_id: str | None = None,
        activity_from: date | None = None,
        activity_through: date | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> RecordPage:
        """
        Return one page of the registered activities that the actor may see, newest first.

        The list has single registrations and those of batches, void ones included, each with its
        correction notes. The records of a deleted batch are listed, too.

        Args:
            actor: the person who asks. Coordinators see what they registered, chapter admins see
                everything in their organization.
            mentor_ids: only activities of these mentors; `None` for all.
            coordinator_id: only activities that this person registered; `None` for all.
            activity_from: the first day, included.
            activity_through: the last day, included.
            limit: the most activities on a page, 1 to 100.
            cursor: the `next_cursor` of the previous page.

        Raises:
            NotAuthorizedError: the actor's roles do not allow it; nothing was read.
            InvalidTypeError, InvalidValueError: an argument is not valid.
        """
        check_arguments(
            actor=actor,
            mentor_ids=mentor_ids,
            coordinator_id=coordinator_id,
            activity_from=activity_from,
            activity_through=activity_through,
            limit=limit,
        )
        check_record_cursor(cursor)
        found_by = RecordFilter(
            mentor_ids=None if mentor_ids is None else frozenset(mentor_ids),
            coordinator_id=coordinator_id,
            activity_from=activity_from,
            activity_through=activity_through,
            cursor=cursor,
        )
        return await self._registered.page(actor, limit=limit, found_by=found_by)

    async def request_correction(
        self, activity_id: str, note: str, *, actor: Actor, idempotency_key: str
    ) -> CorrectionNote:
        """
        Add a correction note to a registered activity, which stays unchanged; lists show both.

        Args:
            activity_id: the id of a record that the actor may see.
            note: what is wrong, up to 500 characters.
            actor: the person who writes the note.
            idempotency_key: a key of the caller's form; the same key always means the same note on
                this activity.

        Raises:
            NotAuthorizedError: the actor's roles do not allow it; nothing was read.
            ActivityNotFoundError: there is no such record that the actor may see.
            InvalidValueError: the note is empty or too long, or the key was used before with
                another note.
        """
        check_arguments(activity_id=activity_id, note=note, actor=actor, idempotency_key=idempotency_key)
        request = CorrectionRequest(activity_id=activity_id, note=note, idempotency_key=idempotency_key)
        return await self._registered.correct(request, actor=actor)

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Return the receipt of the registration's record, or `None`.
        """
        for record in await self.repository.find_activities([registration_id]):
            return _receipt(record)
        return None

    async def find_conflicts(self, registrations: Sequence[ProxyRegistration], /) -> Sequence[Conflict]:
        """
        Return the registrations that duplicate an existing record, or an earlier registration in this call.
        """
        keys = {each.registration_id: self.duplicate_rule(each) for each in registrations}
        by_organization: defaultdict[str, list[str]] = defaultdict(list)
        for registration in registrations:
            key = keys[registration.registration_id]
            if key is not None:
                by_organization[registration.registered_by.organization_id].append(key)
        existing = {
            (organization_id, key): record
            for organization_id, wanted in by_organization.items()
            for key, record in (await self.repository.find_duplicates(organization_id, wanted)).items()
        }
        conflicts = dict(_conflicts(registrations, keys, existing))
        own = await self.repository.find_activities(conflicts) if conflicts else ()
        # At a retry a lost reply's own record is found: that is a success to be, and no conflict.
        for record in own:
            del conflicts[record.registration.registration_id]
        return list(conflicts.values())

    async def _written(
        self, registrations: Sequence[ProxyRegistration], *, atomic: bool
    ) -> Mapping[str, _Answer]:
        if not registrations:
            return {}
        answers: dict[str, _Answer] = {}
        try:
            records = await self._records.add(registrations, atomic=atomic)
        except RecordRefusedError as error:
            if not atomic:
                raise  # the driver halves the chunk and finds the one; decision 26
            raise RegistrationRejected(RECORD_REFUSED, str(error)) from error
        for registration, record in zip(registrations, records, strict=True):
            own = record.registration.registration_id == registration.registration_id
            answers[registration.registration_id] = (
                _receipt(record) if own else _duplicate(registration, record.activity_id)
            )
        refused = any(isinstance(answer, RegistrationFailure) for answer in answers.values())
        return await self._rolled_back(registrations, answers) if atomic and refused else answers

    async def _rolled_back(
        self, registrations: Sequence[ProxyRegistration], answers: Mapping[str, _Answer]
    ) -> dict[str, _Answer]:
        """
        Return failures for all of them: their own, or that another one was refused.

        Raises:
            OutcomeUnknownError: some have records of their own already, which is
                neither all nor nothing, and cannot be told in answers.
        """
        if await self._records.existing(registrations):
            raise OutcomeUnknownError
        names = [registration.registration_id for registration in registrations]
        return {
            name: answer
            if isinstance(answer := answers.get(name), RegistrationFailure)
            else RegistrationFailure(registration_id=name, code=ROLLED_BACK.code, message=ROLLED_BACK.message)
            for name in names
        }


def _receipt(record: ActivityRecord) -> RegistrationReceipt:
    return RegistrationReceipt(
        registration_id=record.registration.registration_id, activity_id=record.activity_id
    )


def _said_together(failing: Iterable[Failure]) -> str:
    return " ".join(failure.message for failure in failing)


def _refusal(registration: ProxyRegistration, failing: Sequence[Failure]) -> RegistrationFailure:
    return RegistrationFailure(
        registration_id=registration.registration_id,
        code=failing[0].code,
        message=_said_together(failing),
    )


def _duplicate(registration: ProxyRegistration, existing_activity_id: str) -> RegistrationFailure:
    return RegistrationFailure(
        registration_id=registration.registration_id,
        code=DUPLICATE.code,
        message=DUPLICATE.message,
        existing_activity_id=existing_activity_id,
    )


def _those(
    registrations: Sequence[ProxyRegistration], failing: Sequence[Sequence[Failure]], *, refused: bool
) -> list[ProxyRegistration]:
    pairs = zip(registrations, failing, strict=True)
    return [registration for registration, reasons in pairs if bool(reasons) is refused]


def _conflicts(
    registrations: Sequence[ProxyRegistration],
    keys: Mapping[str, str | None],
    existing: Mapping[tuple[str, str], ActivityRecord],
) -> Iterable[tuple[str, Conflict]]:
    # An earlier entry has no record yet; the id that it will have stands for it; decision 23.
    first: dict[tuple[str, str], str] = {}
    items = {(id_form(registration.mentor_id), registration.item_key) for registration in registrations}
    asked = Counter(mentor_id for mentor_id, _ in items)
    for registration in registrations:
        name = registration.registration_id
        key = keys[name]
        if key is None:
            continue
        likeness = (registration.registered_by.organization_id, key)
        record = existing.get(likeness)
        if record is not None:
            if record.activity_id != registration.override_of:
                yield name, _conflict(registration, ConflictKind.DUPLICATE, record.activity_id, asked)
        elif first.setdefault(likeness, activity_id_of(name)) not in {
            activity_id_of(name),
            registration.override_of,
        }:
            yield name, _conflict(registration, ConflictKind.IN_BATCH, first[likeness], asked)


def _conflict(
    registration: ProxyRegistration, kind: ConflictKind, existing: str, asked: Mapping[str, int]
) -> Conflict:
    return Conflict(
        mentor_id=registration.mentor_id,
        kind=kind,
        existing_activity_id=existing,
        item_key=registration.item_key if asked[id_form(registration.mentor_id)] > 1 else None,
    )
