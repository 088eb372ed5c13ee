"""
The settings of activity records over PostgREST.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

import attrs

from proxy_orchestration._validators import is_not_negative, is_positive
from proxy_orchestration.errors import InvalidValueError

_HOSTED: Final = (".supabase.co", ".supabase.in")
_REST: Final = "/rest/v1"
_PREFIX: Final = re.compile(r"(?:[a-z_][a-z0-9_]{0,19})?")
_SCHEMA: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")


def _fits_prefix(_settings: PostgrestSettings, _field: attrs.Attribute[Any], given: str) -> None:
    if not _PREFIX.fullmatch(given):
        name = "PostgrestSettings.prefix"
        raise InvalidValueError(
            name,
            "must have at most 20 characters: lower-case letters, digits and underscores, and no digit first",
        )


def _fits_schema(_settings: PostgrestSettings, _field: attrs.Attribute[Any], given: str | None) -> None:
    if given is not None and not _SCHEMA.fullmatch(given):
        name = "PostgrestSettings.schema"
        raise InvalidValueError(
            name,
            "must have at most 63 characters: letters, digits, underscores, dollar signs and hyphens, "
            "and no digit first",
        )


@attrs.frozen(kw_only=True)
class PostgrestSettings:
    """
    Names and times of `PostgrestActivityRecords`; all times in seconds.

    Attributes:
        schema: the schema of the functions; needed if it is not the first schema that PostgREST
            exposes.
        prefix: the prefix of the functions' names, as given to `supabase_functions`.
        call_timeout: the longest time of a call; a longer writing call is cut off and in doubt.
            Keep it above 20 seconds, which is the functions' own limit, so that their answer comes
            first. Keep it below `BulkSettings.call_timeout`.
        longest_retry_after: the longest wait that is honoured if PostgREST has lost its database:
            it asks for longer and longer waits, and is usually back before they end.
    """

    schema: str | None = attrs.field(default=None, validator=_fits_schema)
    prefix: str = attrs.field(default="", validator=_fits_prefix)
    call_timeout: float = attrs.field(default=25.0, validator=is_positive)
    longest_retry_after: float = attrs.field(default=2.0, validator=is_not_negative)


def rest_address(url: str) -> str:
    """
    Return where PostgREST answers: the address as it is, or below a Supabase project's own.

    Raises:
        InvalidValueError: it is no address of HTTP, or holds a password or a query.
    """
    given: object = url
    parts = _parts(given) if isinstance(given, str) else None
    if parts is None:
        name = "url"
        rule = "must be the address of a Supabase project or of PostgREST, such as https://abc.supabase.co"
        raise InvalidValueError(name, rule)
    path = parts.path.rstrip("/")
    if not path and str(parts.hostname).endswith(_HOSTED):
        path = _REST
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    is_http = parts.scheme in {"http", "https"} and bool(parts.hostname)
    return parts if is_http and parts.username is None and not (parts.query or parts.fragment) else None
