"""
The endpoints: accept at once, look at what became of it, retry what failed.
"""

from __future__ import annotations

import json
from datetime import date

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from proxy_orchestration import BulkRegistrationRequest, ProxyActivity

from .bulk import bulk
from .people import actor_of


@csrf_exempt  # whoever calls proves who they are in each request; a form with a session keeps the check
@require_POST
def register(request: HttpRequest) -> JsonResponse:
    """
    Accept a visit for many mentors; the key makes a form that is sent twice one batch.
    """
    body = json.loads(request.body)
    visit = ProxyActivity(
        activity_type="visit",
        activity_date=date.fromisoformat(body["day"]),
        duration_minutes=body["minutes"],
    )
    wanted = BulkRegistrationRequest.for_mentors(
        body["mentors"], visit, idempotency_key=request.headers["Idempotency-Key"]
    )
    accepted = bulk.submit_bulk_registration(wanted, actor=actor_of(request), drive=False)
    return JsonResponse({"batch_id": accepted.batch_id, "status": accepted.status.value}, status=202)


@require_GET
def show(request: HttpRequest, batch_id: str) -> JsonResponse:
    """
    Answer with the batch and every mentor's outcome.
    """
    result = bulk.get_bulk_submission_status(batch_id, actor=actor_of(request))
    return JsonResponse(result.to_dict())


@csrf_exempt
@require_POST
def retry(request: HttpRequest, batch_id: str) -> JsonResponse:
    """
    Open a run for what failed; the run that the person looked at makes a second click harmless.
    """
    run = json.loads(request.body)["run"]
    result = bulk.retry_failed_items(batch_id, actor=actor_of(request), expected_run=run, drive=False)
    return JsonResponse({"batch_id": batch_id, "run": result.run}, status=202)
