"""The message's schema, and whether an encoded message is valid."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from places import DOCS

SCHEMA = json.loads((DOCS / "message.schema.json").read_text())


def valid(encoded: bytes) -> bool:
    validator().validate(json.loads(encoded))
    return True


@cache
def validator() -> Any:  # noqa: ANN401 - of a library without types
    return pytest.importorskip("jsonschema").Draft202012Validator(SCHEMA)
