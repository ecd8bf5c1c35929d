"""docs/asyncapi.json is what the schemas and the defaults of Kafka make it."""

from __future__ import annotations

import json

import jsonschema
from places import ROOT

from tui_feeder.configuration.asyncapi import SCHEMAS, text_of

DOCS = ROOT / "docs"


def test_the_document_is_made_of_the_schemas() -> None:
    assert (DOCS / "asyncapi.json").read_text() == text_of(DOCS), (
        "python -m tui_feeder.configuration.asyncapi writes it"
    )


def test_its_references_lead_somewhere_and_its_payloads_are_schemas() -> None:
    made = json.loads((DOCS / "asyncapi.json").read_text())
    assert made["asyncapi"] == "3.0.0"
    assert {channel["bindings"]["kafka"]["topic"] for channel in made["channels"].values()} == {
        "ta_data", "ta_candles",
    }  # fmt: skip

    def follow(reference: str) -> object:
        found = made
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        return found

    for topic, channel in made["channels"].items():
        message = follow(channel["messages"][topic]["$ref"])
        schema = message["payload"]["schema"]
        assert schema == json.loads((DOCS / SCHEMAS[topic]).read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
    assert {follow(operation["channel"]["$ref"])["address"] for operation in made["operations"].values()} == {
        "{prefix}data", "{prefix}candles",
    }  # fmt: skip
