from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from places import DOCS

from tui_feeder.config import ConfigError, Problem, load, render
from tui_feeder.configuration.sections.alerts import AlertKind
from tui_feeder.engine.alerts.manager import encode
from tui_feeder.engine.alerts.rules import Alert

ORDER = ("rule", "kind", "symbol", "timestamp", "condition", "text", "value", "threshold")


def problems_of(folder: Path, text: str) -> list[Problem]:
    path = folder / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    return list(caught.value.problems)


def test_rules_have_names_and_load_with_their_origin(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        "[alerts.rules]\nbtc-trend = { kind = 'trend_flip', symbols = ['BTC*'], timeframe = 3600 }\n"
        "[alerts.rules.Big_1]\nkind = 'volume_above'\nfactor = 3\n"
    )
    loaded = load(path, environ={"FEEDER_ALERTS__RULES__Big_1__QUANTILE": "q75"})
    rules = loaded.config.alerts.rules
    assert list(rules) == ["btc-trend", "Big_1"]
    assert (rules["btc-trend"].symbols, rules["btc-trend"].timeframe) == (("BTC*",), 3600)
    assert (rules["Big_1"].factor, rules["Big_1"].quantile) == (3.0, "q75")
    assert loaded.origins["alerts.rules.Big_1.kind"].endswith(":4")
    again = tmp_path / "again.toml"
    again.write_text(render(loaded))
    assert load(again, environ={}).config == loaded.config


@pytest.mark.parametrize(
    ("rule", "key", "said"),
    [
        ("symbols = ['BTCUSDT']", "symbols", "without a kind: x"),
        ("kind = 'trend_flop'", "kind", "is not one of the choices"),
        ("kind = 'trend_flip'", "kind", "needs a timeframe"),
        ("kind = 'trend_flip', timeframe = 120", "timeframe", "is not one of technical_analysis.timeframes"),
        ("kind = 'trend_flip', timeframe = 300, seconds = 5", "seconds", "means nothing to trend_flip"),
        ("kind = 'ema_cross', timeframe = 300, periods = [21]", "periods", "compares two"),
        ("kind = 'ema_cross', timeframe = 300, periods = [21, 55]", "periods", "not all"),
        ("kind = 'price_cross'", "kind", "needs a level, or a price"),
        ("kind = 'price_cross', level = 'poc', price = 5", "price", "the level poc are both given"),
        ("kind = 'price_cross', price = 5, timeframe = 300", "timeframe", "means nothing to a price"),
        ("kind = 'price_cross', price = 0", "price", "is not allowed"),
        ("kind = 'gap_open', price = 5", "price", "means nothing to gap_open"),
        (
            "kind = 'price_cross', level = 'poc', timeframe = 300",
            "timeframe",
            "means nothing to the level poc",
        ),
        ("kind = 'price_cross', level = 'ema', periods = [21]", "kind", "needs a timeframe"),
        ("kind = 'gap_open', level = 'poc'", "level", "means nothing to gap_open"),
        ("kind = 'gap_open', seconds = 0", "seconds", "is not allowed"),
        ("kind = 'gap_open', symbols = ['btcusdt']", "symbols", "is not allowed"),
        ("kind = 'gap_open', loud = true", "loud", "is not a key"),
    ],
)
def test_a_rule_that_makes_no_sense_is_told_at_its_key(
    tmp_path: Path, rule: str, key: str, said: str
) -> None:
    (problem,) = problems_of(tmp_path, f"[alerts.rules]\nx = {{ {rule} }}\n")
    assert problem.key == f"alerts.rules.x.{key}"
    assert problem.line == 2
    assert said in problem.message


def test_levels_need_what_they_rest_on(tmp_path: Path) -> None:
    text = "[alerts.rules]\nx = { kind = 'price_cross', level = 'vah' }\n[volume_profile]\nenabled = false\n"
    (problem,) = problems_of(tmp_path, text)
    assert "needs volume_profile.enabled" in problem.message
    text = "[alerts.rules]\nx = { kind = 'volume_above' }\n[application]\nenable_technical_analysis = false\n"
    (problem,) = problems_of(tmp_path, text)
    assert "needs application.enable_technical_analysis" in problem.message


@pytest.mark.parametrize("name", ["-x", "a b", "ä", "x" * 65])
def test_a_name_of_a_rule_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    (problem,) = problems_of(tmp_path, f'[alerts.rules."{name}"]\nkind = "gap_open"\n')
    assert problem.message == "is no name of a rule"


def test_where_alerts_go_is_checked_and_the_address_of_the_webhook_never_shown(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "[alerts]\nkafka = true\nwebhook_url = 'ftp://hook/s3cret'\n")
    assert [(p.key, p.line) for p in problems] == [("alerts.kafka", 2), ("alerts.webhook_url", 3)]
    assert "s3cret" not in "\n".join(map(str, problems))
    path = tmp_path / "config.toml"
    (tmp_path / "hook").write_text("https://hooks.example.org/T0/s3cret?x=1\n")
    path.write_text(f"[alerts]\nwebhook_url_file = '{tmp_path / 'hook'}'\n")
    loaded = load(path, environ={})
    assert loaded.config.alerts.webhook_url is not None
    assert loaded.config.alerts.webhook_url.reveal() == "https://hooks.example.org/T0/s3cret?x=1"
    assert "s3cret" not in render(loaded)
    assert "s3cret" not in repr(loaded.config)


def test_an_address_that_others_reach_and_a_webhook_in_the_clear_are_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[service]\nhttp_host = '0.0.0.0'\n[alerts]\nwebhook_url = 'http://example.org/x'\n")
    assert [w.key for w in load(path, environ={}).warnings] == ["service.http_host", "alerts.webhook_url"]
    path.write_text("[service]\nhttp_host = '::1'\n[alerts]\nwebhook_url = 'http://127.0.0.1:9/x'\n")
    assert load(path, environ={}).warnings == ()


def test_what_the_documentation_shows_is_true(tmp_path: Path) -> None:
    text = (DOCS / "alerts.md").read_text()
    path = tmp_path / "config.toml"
    path.write_text(text.partition("```toml\n")[2].partition("```")[0])
    loaded = load(path, environ={})
    assert len(loaded.config.alerts.rules) == 5
    shown = json.loads(text.partition("```json\n")[2].partition("```")[0])
    assert json.loads(encode(Alert(*(shown[name] for name in ORDER)))) == shown
    kinds = set(re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", text, re.M)) - {"rule"}
    assert kinds == set(get_args(AlertKind))
