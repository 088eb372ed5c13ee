"""
Makes and checks signed links to the course that renews a certificate.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, TypeAlias
from urllib.parse import quote, unquote

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._validators import is_a
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.notification.certificates import type_code
from proxy_orchestration.notification.tiers import NotificationThresholdTier

Secrets: TypeAlias = str | bytes | Sequence[str | bytes] | None
"""
One secret or several: the first signs, all verify.
"""

LINK_VERSION: Final[str] = "1"
"""
The version of links that this library makes and accepts; signed too.
"""

LINK_LIFETIME: Final[timedelta] = timedelta(hours=48)
"""
For how long a link is good.
"""

SECRET_VARIABLE: Final[str] = "ENROLLMENT_URL_SIGNING_SECRET"  # noqa: S105 - a variable's name, not a secret
"""
The environment variable that holds the secret; several are separated by blanks, the newest first.
"""

FALLBACK_CONTEXT: Final[str] = "certificate_renewal"
"""
What the parameter `context` says at the course root, when a type has no target of its own.
"""

_SHORTEST: Final = 32
_LONGEST: Final = 2000
_KEPT_IN_TARGETS: Final = "/:?&=%~+,;@!$'()*[]"
_IN_ROOT: Final = r"""[!"$->@-~]"""  # visible ASCII without ? and #
_ROOT: Final = re.compile(rf"https?://{_IN_ROOT}+|(?!https?:)[A-Za-z][A-Za-z0-9+.-]*://{_IN_ROOT}*")
_LINK: Final = re.compile(
    r"(?P<target>[^#]+?)[?&]v=(?P<version>[0-9]{1,3})&mentorId=(?P<mentor>[^&#]+)&certType=(?P<code>[^&#]+)"
    r"(?:&context=(?P<context>[^&#]+))?&exp=(?P<exp>[0-9]{1,15})&sig=[0-9a-f]{64}"
)
_LINKED: Final = frozenset({NotificationThresholdTier.URGENT_7, NotificationThresholdTier.LAPSED})

_log = logging.getLogger(_loggers.ENROLLMENT)


def _secrets(value: Secrets) -> tuple[bytes, ...]:
    several = [value] if isinstance(value, str | bytes) else list(value or ())
    secrets = tuple(each.encode() if isinstance(each, str) else each for each in several)
    if not secrets or any(len(each) < _SHORTEST for each in secrets):
        problem = "a secret is too short" if any(secrets) else "there is no secret"
        msg = (
            f"enrollment links cannot be signed: {problem}. Set {SECRET_VARIABLE} (or pass `secret`) to at "
            f"least {_SHORTEST} random bytes, for example the output of: python -c 'import secrets; "
            "print(secrets.token_urlsafe(32))'"
        )
        raise ValueError(msg)
    return secrets


def _by_code(courses: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({type_code(code): target for code, target in courses.items()})


def _is_root(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    is_a(str)(instance, attribute, value)
    if not _ROOT.fullmatch(value):
        msg = "base_url must be absolute, plain ASCII and without ? or #, such as https://courses.example.org"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class _Claim:
    """
    What a link says, and all that its signature covers.
    """

    version: str
    target: str
    mentor_id: str
    code: str
    context: str
    exp: int

    def url(self, secret: bytes) -> str:
        """
        Return the link in its one spelling.
        """
        fields = {"v": self.version, "mentorId": self.mentor_id, "certType": self.code}
        if self.context:
            fields["context"] = self.context
        fields |= {"exp": str(self.exp), "sig": self._signature(secret)}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
        return f"{self.target}{'&' if '?' in self.target else '?'}{query}"

    def _signature(self, secret: bytes) -> str:
        """
        Sign the parts, each with its length, so that no two claims have one text.
        """
        parts = (self.version, self.target, self.mentor_id, self.code, self.context, str(self.exp))
        text = b"".join(b"%d:%s" % (len(part), part) for part in map(str.encode, parts))
        return hmac.new(secret, text, hashlib.sha256).hexdigest()


@attrs.frozen(eq=False, kw_only=True)
class EnrollmentLinks:
    """
    Makes and checks links to the course that renews a certificate.

    A link contains the mentor's id, the type's code, the link's expiry and a signature, and no
    other personal data.

    Args:
        secret: a secret of at least 32 bytes, or several for a rotation: the first signs, all
            verify.
        base_url: the root of the courses: a web address, or an app's scheme such as
            `example-app://courses`.
        courses: by certificate type, a path below the root or a complete address.
        clock: the source of time.

    Raises:
        ValueError: there is no secret, a secret is too short, or the root is not an address.
    """

    _secrets: tuple[bytes, ...] = attrs.field(alias="secret", converter=_secrets, repr=False)
    base_url: str = attrs.field(validator=_is_root)
    courses: Mapping[str, str] = attrs.field(factory=dict, converter=_by_code)
    clock: Clock = attrs.field(factory=SystemClock, repr=False)

    @classmethod
    def from_environment(
        cls, *, base_url: str, courses: Mapping[str, str], clock: Clock | None = None
    ) -> EnrollmentLinks:
        """
        Return links with the secret from `ENROLLMENT_URL_SIGNING_SECRET`; separate several secrets by spaces.

        Raises:
            ValueError: it is not set, or too short.
        """
        secrets = os.environ.get(SECRET_VARIABLE, "").split()
        return cls(secret=secrets, base_url=base_url, courses=courses, clock=clock or SystemClock())

    def link_for(
        self, tier: NotificationThresholdTier, *, mentor_id: str, certificate_type: str
    ) -> str | None:
        """
        Return the link of a notice; `None` for a tier without links.

        If a type has no usable target, the link leads to the root, with a `context` parameter that
        says why. If the ids cannot be part of a link, that is logged and the answer is `None`; the
        notice is sent without a link.
        """
        if tier not in _LINKED:
            return None
        claim = self._claim(mentor_id, type_code(certificate_type))
        try:
            url = claim.url(self._secrets[0])
        except UnicodeEncodeError:
            url = ""
        if claim.mentor_id and claim.code and 0 < len(url) <= _LONGEST:
            return url
        _log.error(
            "a notice is sent without an enrollment link, because its ids cannot be part of one",
            extra={"tier": tier.value},
        )
        return None

    def verify(self, url: str) -> bool:
        """
        Return whether the link was signed with one of the secrets, is unaltered and has not expired.
        """
        given: object = url
        if not isinstance(given, str) or len(url) > _LONGEST or not url.isascii():
            return False
        found = _LINK.fullmatch(url)
        if found is None or found["version"] != LINK_VERSION:
            return False
        claim = _Claim(
            version=found["version"],
            target=found["target"],
            mentor_id=unquote(found["mentor"]),
            code=unquote(found["code"]),
            context=unquote(found["context"] or ""),
            exp=int(found["exp"]),
        )
        # The whole link is built anew and compared, so that no second spelling of it passes.
        ours = [hmac.compare_digest(claim.url(secret), url) for secret in self._secrets]
        return any(ours) and self.clock.now().timestamp() < claim.exp

    def _claim(self, mentor_id: str, code: str) -> _Claim:
        target = self._target(code)
        return _Claim(
            version=LINK_VERSION,
            target=target or self.base_url,
            mentor_id=mentor_id,
            code=code,
            context="" if target else FALLBACK_CONTEXT,
            exp=int((self.clock.now() + LINK_LIFETIME).timestamp()),
        )

    def _target(self, code: str) -> str | None:
        """
        Return a type's address; `None` where it has none that makes a link.
        """
        target = self.courses.get(code)
        if not isinstance(target, str) or not target.strip("/ ") or "#" in target:
            _log.warning(
                "there is no course for this certificate type; the link leads to the course root",
                extra={"certificate_type": code},
            )
            return None
        if "://" not in target:
            root = self.base_url if self.base_url.endswith("/") else f"{self.base_url}/"
            target = root + target.strip().lstrip("/")
        return quote(target.strip(), safe=_KEPT_IN_TARGETS)
