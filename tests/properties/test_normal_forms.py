"""
Any text has one form to be compared by, and the form is its own.
"""

from __future__ import annotations

import sys
from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration._normal_forms import code_form, has_one_spelling, id_form

TEXTS = st.text(max_size=20)


@given(TEXTS)
def test_a_form_is_its_own(text: str) -> None:
    """
    So that what was stored by its form is found by it.
    """
    assert id_form(text) == id_form(id_form(text))
    assert code_form(text) == code_form(code_form(text))


@given(TEXTS, st.sampled_from(["NFC", "NFD"]))
def test_the_way_letters_are_composed_makes_no_difference(text: str, form: str) -> None:
    """
    Neither for ids nor for codes.
    """
    assert id_form(text) == id_form(normalize(form, text))  # type: ignore[arg-type]  # a form by its name
    assert code_form(text) == code_form(normalize(form, text))  # type: ignore[arg-type]  # a form by its name


@given(TEXTS)
def test_what_was_folded_before_has_the_form_of_what_was_given(text: str) -> None:
    """
    Types that earlier versions stored are found by those that come.
    """
    assert code_form(text) == code_form(text.strip().casefold())


def test_an_id_with_one_spelling_is_nobody_else_s() -> None:
    """
    Of all letters beyond ASCII a few are composed as one of it.
    """
    beyond = {id_form(chr(number)) for number in range(128, sys.maxunicode + 1)}
    plain = {chr(number) for number in range(128)}

    assert plain - beyond == {text for text in plain if has_one_spelling(text)}
    assert not has_one_spelling("\u00e5")
