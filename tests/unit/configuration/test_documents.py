"""config.toml.example and docs/configuration.md are made from the declarations of the keys."""

from __future__ import annotations

import re

from places import ROOT

from tui_feeder.configuration.documents import example, reference
from tui_feeder.configuration.keys import kind_at, leaf_names
from tui_feeder.configuration.values import Key, key_of, type_of

MAKE = "make them again: python -m tui_feeder.configuration.documents"


def test_the_example_and_the_reference_are_what_is_made_from_the_keys() -> None:
    assert (ROOT / "config.toml.example").read_text() == example(), MAKE
    assert (ROOT / "docs" / "configuration.md").read_text() == reference(), MAKE


def test_every_key_has_a_sentence_and_a_range_where_it_is_a_number() -> None:
    for name in leaf_names():
        kind = kind_at(name)
        key = key_of(kind)
        assert isinstance(key, Key)
        assert bool(key.sentence) != bool(key.ignored), name
        assert not key.sentence.endswith("."), name
        if type_of(kind) in (int, float):
            assert key.low is not None or "to " in reference_row(name), name


def reference_row(name: tuple[str, ...]) -> str:
    variable = "FEEDER_" + "__".join(name).upper()
    (row,) = re.findall(rf"^\| .*`{variable}`.* \|$", reference(), re.M)
    return str(row)


def test_the_reference_says_everything_of_a_key() -> None:
    assert reference_row(("ui", "refresh_hz")) == (
        "| `refresh_hz` | screen refreshes per second | a number, 0.2 to 20 | `4.0` | Hz | no "
        "| `FEEDER_UI__REFRESH_HZ`, `--hz` |"
    )
    assert reference_row(("application", "symbols")).endswith(
        '| `["BTCUSDT"]` |  | yes | `FEEDER_APPLICATION__SYMBOLS`, `--symbols` |'
    )
    assert reference_row(("alerts", "rules", "NAME", "hysteresis_percent")) == (
        "| `hysteresis_percent` | how far a level must be passed, in percent of it; unset: 0.1; "
        'only with `kind` = "ema_cross" or "price_cross" or "volume_above" or "anchored_vwap_touch" '
        "| a number, 0 to 50 | not set | % | yes | `FEEDER_ALERTS__RULES__NAME__HYSTERESIS_PERCENT` |"
    )
    assert reference_row(("kafka", "security", "sasl_password")).count("| a string | not set |") == 1
