"""
Put the Django host's registration service to its contract, in a process of its own. Started by a test.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

os.environ["DJANGO_SETTINGS_MODULE"] = "examples.django_host.settings"

import anyio
import django
from django.core.management import call_command

django.setup()

from examples.django_host.models import Visit  # noqa: E402 - after the setup
from examples.django_host.register import VisitRegister, in_a_thread  # noqa: E402 - as above

from proxy_orchestration.testing.contracts import (  # noqa: E402 - as above
    registration_lookup,
    registration_service,
)


@asynccontextmanager
async def open_register() -> AsyncIterator[VisitRegister]:
    """
    Open a register without any visit.
    """
    await in_a_thread(Visit.objects.all().delete)
    yield VisitRegister()


async def main() -> None:
    """
    Make every check, and say how many there were.
    """
    checks = [*registration_service, *registration_lookup]
    for check in checks:
        await check(open_register)
    print(f"{len(checks)} checks hold")


call_command("migrate", run_syncdb=True, verbosity=0)
anyio.run(main)
