"""docs/asyncapi.json: the published messages as channels of Kafka, made of the schemas beside it.

``python -m tui_feeder.configuration.asyncapi`` writes it; a test holds it equal to the schemas.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tui_feeder.configuration.sections import Config
from tui_feeder.version import __version__

_TOPIC_NOTES = {
    "data": "Closed minutes of every symbol with indicators; key = symbol, record time = close time.",
    "candles": "Closed bars of every timeframe, with kafka.candles_topic; key and time as of data.",
}
#: The schema of each topic's messages, a file beside the document.
SCHEMAS = {"data": "message.schema.json", "candles": "candle.schema.json"}
_FORMAT = "application/schema+json;version=draft-2020-12"


def document(schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Makes the document.

    Args:
        schemas: the JSON schema of each topic's messages, by topic.

    Returns:
        An AsyncAPI 3.0 document.
    """
    kafka = Config().kafka
    channels, operations, messages = {}, {}, {}
    for topic, schema in schemas.items():
        channels[topic] = {
            "address": f"{{prefix}}{topic}",
            "title": schema["title"],
            "description": _TOPIC_NOTES[topic],
            "parameters": {"prefix": {"description": "kafka.topic_prefix", "default": kafka.topic_prefix}},
            "messages": {topic: {"$ref": f"#/components/messages/{topic}"}},
            "bindings": {"kafka": {"topic": f"{kafka.topic_prefix}{topic}"}},
        }
        operations[f"receive_{topic}"] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{topic}"},
            "summary": "At least once; a higher revision replaces the one before.",
        }
        messages[topic] = {
            "name": topic,
            "title": schema["title"],
            "summary": schema["description"],
            "contentType": "application/json",
            "payload": {"schemaFormat": _FORMAT, "schema": schema},
            "bindings": {"kafka": {"key": {"type": "string", "description": "the symbol, UTF-8"}}},
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "feeder-tui",
            "version": __version__,
            "description": "Candles and indicators as feeder-tui publishes them, seen by who reads them.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": kafka.bootstrap_servers[0],
                "protocol": "kafka",
                "description": "kafka.bootstrap_servers and kafka.security",
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def text_of(folder: Path) -> str:
    """Makes the text of the document.

    Args:
        folder: of the schemas.

    Returns:
        JSON, as it is written.
    """
    schemas = {
        topic: json.loads((folder / name).read_text(encoding="utf-8")) for topic, name in SCHEMAS.items()
    }
    return json.dumps(document(schemas), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the document into the checkout that this package lies in."""
    docs = Path(__file__).resolve().parents[2] / "docs"
    (docs / "asyncapi.json").write_text(text_of(docs), encoding="utf-8")


if __name__ == "__main__":
    main()
