#!/usr/bin/env bash
# Pydantic 2.14.4: a field that may be nothing but `false`, `Literal[False]`, takes the numbers 0 and 0.0 as
# well, from JSON and in strict mode too, and makes `False` of them, although strict mode refuses a number
# for a `bool`. The words of a wire's flag that has one value only are therefore not what its schema says,
# `{"const": false}`. The text "false" is refused.
#
# Exits with 0 while that is so, and with 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pydantic==2.14.4
cat >"$folder/show.py" <<'PYTHON'
import sys
from importlib.metadata import version
from typing import Literal

from pydantic import TypeAdapter, ValidationError


def taken(kind, text):
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError:
        return "refused"


print("pydantic", version("pydantic"))
print("schema of Literal[False]:", TypeAdapter(Literal[False]).json_schema())
texts = ["false", "0", "0.0", '"false"']
literal = [taken(Literal[False], text) for text in texts]
plain = [taken(bool, text) for text in texts]
for text, one, other in zip(texts, literal, plain, strict=True):
    print(f"{text:8} strict Literal[False]: {one!s:8} strict bool: {other}")
expected = [False, False, False, "refused"], [False, "refused", "refused", "refused"]
sys.exit((literal, plain) != expected)
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
