"""
Ids that are made of names.
"""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration._uuid_texts import uuid5_text


@given(st.uuids(), st.text(st.characters(exclude_categories=["Cs"])))
def test_the_text_is_that_of_the_standard_library(namespace: uuid.UUID, name: str) -> None:
    """
    Notices are found by such ids, so that they never change.
    """
    assert str(uuid.uuid5(namespace, name)) == uuid5_text(namespace, name)
