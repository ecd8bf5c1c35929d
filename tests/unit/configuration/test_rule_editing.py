"""One rule of alerts is written into a configuration file, and nothing else of it changes."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_feeder.config import AlertRule, Config, example, load
from tui_feeder.configuration.rule_editing import RuleError, RuleTable, checked_rule, rule_table, write_rule

PRICE: RuleTable = {"kind": "price_cross", "symbols": ("BTCUSDT",), "price": 100000.0}
GAP: RuleTable = {"kind": "gap_open", "seconds": 5.0}

INLINE = """\
[alerts]
bell = false  # quiet

[alerts.rules]
x = { kind = 'gap_open' }  # mine
# y = { kind = "disk_full" }

# about kafka
[kafka]
enabled = false
"""
SECTION = """\
[alerts.rules.x]
kind = 'gap_open'  # gaps
# mine
seconds = 3

[alerts.rules.y]
kind = "disk_full"

# about kafka
[kafka]
enabled = false
"""
FORMS = {
    "inline": INLINE,
    "sections": SECTION,
    "dotted": "alerts.rules.x.kind = 'gap_open'\n[kafka]\nenabled = false\n",
    "one table": "[alerts]\nrules = { x = { kind = 'gap_open' } }\n",
    "one line": "alerts = { rules = { 'x' = { kind = 'gap_open' } } }\nkafka.enabled = false",
    "example": example().replace("[alerts.rules]", "[alerts.rules]\nx = { kind = 'gap_open' }"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def comments(text: str) -> list[str]:
    return [line[line.index("#") :].rstrip() for line in text.splitlines() if "#" in line]


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_a_rule_is_added_changed_renamed_and_deleted_in_every_form_of_the_file(path: Path, text: str) -> None:
    path.write_text(text)
    rest = {key: value for key, value in tomllib.loads(text).items() if key != "alerts"}

    def rules() -> dict[str, object]:
        found = tomllib.loads(path.read_text())
        assert {key: value for key, value in found.items() if key != "alerts"} == rest
        there = found.get("alerts", {}).get("rules", {})  # the last dotted key takes its sections along
        return {name: rule for name, rule in there.items() if name != "y"}

    write_rule(path, "new", PRICE)
    written = PRICE | {"symbols": ["BTCUSDT"]}
    assert rules() == {"x": tomllib.loads(text)["alerts"]["rules"]["x"], "new": written}
    write_rule(path, "x", GAP, "x")
    assert rules() == {"x": GAP, "new": written}
    write_rule(path, "z", GAP | {"seconds": 6.0}, "x")
    assert rules() == {"z": GAP | {"seconds": 6.0}, "new": written}
    write_rule(path, "z", None)
    write_rule(path, "new", None)
    assert rules() == {}


def test_comments_and_the_order_of_the_rest_stay(path: Path) -> None:
    path.write_text(INLINE)
    write_rule(path, "new", PRICE)
    write_rule(path, "x", GAP, "x")
    text = path.read_text()
    assert comments(text) == comments(INLINE)
    added = 'new = {kind = "price_cross", symbols = ["BTCUSDT"], price = 100000.0}\n'
    assert f"{added}\n# about kafka\n[kafka]\n" in text
    path.write_text(SECTION)
    write_rule(path, "x", GAP | {"cooldown_seconds": 60.0}, "x")
    assert comments(path.read_text()) == comments(SECTION)
    assert "seconds = 5.0\ncooldown_seconds = 60.0\n\n[alerts.rules.y]" in path.read_text()
    write_rule(path, "z", GAP | {"cooldown_seconds": 60.0}, "x")
    assert "[alerts.rules.z]\nkind = 'gap_open'  # gaps\n" in path.read_text()
    write_rule(path, "y", None)
    assert comments(path.read_text()) == comments(SECTION)
    assert "cooldown_seconds = 60.0\n\n# about kafka\n[kafka]\n" in path.read_text()


def test_the_example_gets_one_line_more(path: Path) -> None:
    path.write_text(example())
    write_rule(path, "new", PRICE)
    before = example().splitlines()
    added = [line for line in path.read_text().splitlines() if line not in before]
    assert added == ['new = {kind = "price_cross", symbols = ["BTCUSDT"], price = 100000.0}']
    assert load(path, environ={}).config.alerts.rules["new"].price == 100000.0


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "feeder-tui" / "config.toml"
    write_rule(path, "new", PRICE)
    assert load(path, environ={}).config.alerts.rules == {"new": checked_rule(Config(), "new", PRICE)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_cannot_be_written_is_told_and_leaves_the_file_as_it_is(path: Path) -> None:
    path.write_text(INLINE)
    for name, table, replaces, said in (
        ("x", PRICE, "", "has a rule x already: choose another name"),
        ("new", PRICE, "gone", "has no rule gone any more"),
        ("gone", None, "", "has no rule gone any more"),
    ):
        with pytest.raises(RuleError, match=said):
            write_rule(path, name, table, replaces)
    assert path.read_text() == INLINE
    path.write_text("[alerts\n")
    with pytest.raises(RuleError, match=r"config.toml:1:8: is not TOML"):
        write_rule(path, "new", PRICE)
    path.write_text("alerts.rules = 3\n")
    with pytest.raises(RuleError, match="is no section"):
        write_rule(path, "new", PRICE)
    path.unlink()
    path.mkdir()
    with pytest.raises(RuleError, match="is a directory"):
        write_rule(path, "new", PRICE)


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("a b", GAP, "the name .* is no name of a rule; allowed: .* letters"),
        ("a", {"kind": "gap_opn"}, 'kind = "gap_opn" is not one of the choices; did you mean "gap_open"'),
        ("a", {"kind": "gap_open", "lod": 1}, "lod is not a key of a rule; allowed: the keys of"),
        ("a", {"kind": "trend_flip", "timeframe": 120}, "timeframe 120 is not one of .*; one of 60, 300"),
        ("a", {"seconds": 3.0}, "is of a rule without a kind"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_in_one_line(name: str, table: RuleTable, said: str) -> None:
    with pytest.raises(RuleError, match=said) as caught:
        checked_rule(Config(), name, table)
    assert "\n" not in str(caught.value)


TABLES = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("price_cross"), "price": st.floats(1e-8, 1e9)},
        optional={
            "symbols": st.sampled_from([("BTCUSDT",), ("spot:*USDT", "ETHUSDT")]),
            "hysteresis_percent": st.floats(0, 50),
            "cooldown_seconds": st.integers(0, 86_400),
        },
    ),
    st.fixed_dictionaries({"kind": st.just("trend_flip"), "timeframe": st.sampled_from([60, 3600])}),
    st.fixed_dictionaries(
        {"kind": st.just("ema_cross"), "timeframe": st.just(60), "periods": st.just((21, 89))}
    ),
)


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), TABLES), max_size=6), st.sampled_from(sorted(FORMS)))
def test_rules_written_from_the_screen_equal_hand_written_ones(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, RuleTable]], form: str
) -> None:
    path = tmp_path_factory.mktemp("edited") / "config.toml"
    path.write_text(FORMS[form])
    wanted: dict[str, AlertRule] = {}
    for name, table in edits:
        write_rule(path, name, table, name if name in wanted else "")
        wanted[name] = checked_rule(Config(), name, table)
        assert checked_rule(Config(), name, rule_table(wanted[name])) == wanted[name]
    found = load(path, environ={}).config.alerts.rules
    assert {name: rule for name, rule in found.items() if name not in ("x", "y")} == wanted
