"""
A PostgREST of the tests' own before a database, on a socket in a temporary folder.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kept_process import KeptProcess, kept

from postgrest.programs import GatewayFailedError, find_program

__all__ = ["SECRET", "Gateway", "GatewayFailedError", "running_gateway", "token"]

SECRET = "a secret that stands for a project's own, 32 bytes long"  # noqa: S105 - of the tests alone
_KEEPER = Path(__file__).with_name("keeper.py")


def _part(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def token(secret: str = SECRET, **claims: object) -> str:
    """
    Return a signed token that claims that.
    """
    told = [_part(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = b".".join(told)
    signature = hmac.digest(secret.encode(), signed, hashlib.sha256)
    return b".".join([signed, _part(signature)]).decode()


class Gateway(KeptProcess):
    """
    A PostgREST that runs.
    """

    failed = GatewayFailedError

    @property
    def socket(self) -> str:
        """
        Return where it listens.
        """
        return str(self.folder / "rest")

    def kill(self) -> None:
        """
        Kill it.
        """
        self.tell("kill")

    def start(self) -> None:
        """
        Kill it, should it run, and start it.
        """
        self.tell("start")


@contextmanager
def running_gateway(**settings: str | int) -> Iterator[Gateway]:
    """
    Start a PostgREST with these settings; end it with the block, or with this process.

    Raises:
        GatewayFailedError: there is none, or it did not start, with what it said.
    """
    given = {"program": str(find_program()), "settings": {"jwt_secret": SECRET, **settings}}
    with kept(Gateway, _KEEPER, json.dumps(given)) as running:
        yield running
