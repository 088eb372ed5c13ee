"""
Who is signed in. Yours has sessions or tokens; here it is HTTP's basic authentication.
"""

from __future__ import annotations

import base64
import binascii

from django.contrib.auth import authenticate
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from proxy_orchestration import Actor, Role

ROLES = {"coordinators": Role.COORDINATOR, "chapter admins": Role.CHAPTER_ADMIN}


def actor_of(request: HttpRequest) -> Actor:
    """
    Return who calls, with the roles of the groups that they are in now.
    """
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise PermissionDenied from None
    user = authenticate(request, username=name, password=password) if scheme == "Basic" else None
    if user is None:
        raise PermissionDenied
    groups = user.groups.values_list("name", flat=True)
    roles = {ROLES[group] for group in groups if group in ROLES}
    return Actor(user_id=user.get_username(), roles=roles, organization_id="chapter-oslo")
