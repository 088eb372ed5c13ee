"""
A sign-in for people with a browser: yours is there already, and this page only makes the example whole.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Cookie, Form, HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse

from proxy_orchestration import Actor

from .people import TOKENS, actor_of

PAGE = """<!doctype html><html lang="en"><title>Sign in</title>
<form method="post"><label>Token <input name="token" list="known"></label> <button>Sign in</button>
<datalist id="known">{}</datalist></form></html>"""

router = APIRouter(include_in_schema=False)


def signed_in_here(session: Annotated[str, Cookie()] = "") -> Actor:
    """
    Return who is signed in in this browser, or lead to the page where that is done.
    """
    actor = actor_of(session)
    if actor is None:
        raise HTTPException(303, headers={"Location": "/sign-in"})
    return actor


@router.get("/sign-in")
def ask() -> HTMLResponse:
    """
    Show the form, with the tokens of the example's people to choose from.
    """
    return HTMLResponse(PAGE.format("".join(f'<option value="{token}">' for token in TOKENS)))


@router.post("/sign-in")
def sign_in(token: Annotated[str, Form()]) -> RedirectResponse:
    """
    Keep the token in this browser, and go to the console.
    """
    if actor_of(token) is None:
        raise HTTPException(401, "Nobody has this token.")
    answer = RedirectResponse("/console/", 303)
    # For the console alone, whose forms carry a token against forgery: REST takes no cookie, and needs none.
    # With HTTPS add `secure=True`.
    answer.set_cookie("session", token, path="/console", httponly=True, samesite="lax")
    return answer
