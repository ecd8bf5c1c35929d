"""The page about the message against its schema: every field, with its type, and examples that are valid."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from places import DOCS

PAGE = (DOCS / "message.md").read_text()
SCHEMA = json.loads((DOCS / "message.schema.json").read_text())
(EXAMPLE,) = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.S))


class Row(NamedTuple):
    field: str
    kind: str
    unit: str
    absent: str
    example: str
    meaning: str


ROWS = [
    Row(*(cell.strip() for cell in line.strip("|").split("|")))
    for line in PAGE.splitlines()
    if line.startswith("| `")
]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    return SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field by its path, and what is said of it; quantiles count as one."""
    for name, one in schema.get("properties", {}).items():
        yield path + name, resolved(one)
        if "$ref" not in one:
            yield from fields(one, f"{path}{name}.")


def schema_of(field: str) -> dict[str, Any]:
    found = dict(fields(SCHEMA)).get(field)
    if found is not None:
        return found
    (found,) = (one for pattern, one in SCHEMA["patternProperties"].items() if re.search(pattern, field))
    return resolved(found)


def test_every_field_of_the_schema_has_a_row_and_every_row_is_a_field() -> None:
    named = [row.field.strip("`") for row in ROWS]
    assert len(named) == len(set(named))
    families = {name for name in named for pattern in SCHEMA["patternProperties"] if re.search(pattern, name)}
    assert len(families) == len(SCHEMA["patternProperties"])
    assert set(named) - families == {name for name, _ in fields(SCHEMA)}
    assert {row.field.strip("`") for row in ROWS if row.absent == "never"} == set(SCHEMA["required"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.field)
def test_types_and_examples_are_those_of_the_schema(row: Row) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    name, schema = row.field.strip("`"), schema_of(row.field.strip("`"))
    assert row.kind == schema.get("type", "string")
    if row.example:
        example = json.loads(row.example.strip("`"))
        jsonschema.validate(example, {**schema, "$defs": SCHEMA["$defs"]})
        found: Any = EXAMPLE
        for part in name.split("."):
            found = found.get(part, {})
        assert found == example or name in ("partial", "market"), "it is that of the message below"
    else:
        assert row.kind == "object"


def test_the_message_below_is_one_and_has_every_field_but_partial_and_market() -> None:
    pytest.importorskip("jsonschema").validate(EXAMPLE, SCHEMA)
    assert {row.field.strip("`").partition(".")[0] for row in ROWS} - set(EXAMPLE) == {"partial", "market"}
    assert all(any(re.search(pattern, name) for name in EXAMPLE) for pattern in SCHEMA["patternProperties"])
