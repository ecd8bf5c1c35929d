from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import EXAMPLE

from tui_feeder.config import Config, ConfigError, LoadedConfig, Problem, load

#: Keys whose default is not of their type.
UNSET = {"start_date": datetime(2025, 1, 1, tzinfo=UTC)}


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def load_text(folder: Path, text: str, **environ: str) -> LoadedConfig:
    return load(write(folder, text), environ=environ)


def problems_of(folder: Path, text: str, **environ: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_text(folder, text, **environ)
    return caught.value.problems


def test_four_problems_of_four_sorts_are_told_in_one_go(tmp_path: Path) -> None:
    text = """# my file
[application]
symbols = []
timeframs = [60]

[kafka]
acks = "ALL"
retries = "many"
"""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    problems = caught.value.problems
    assert [(p.file, p.line, p.key, p.value) for p in problems] == [
        (str(path), 3, "application.symbols", "[]"),
        (str(path), 4, "application.timeframs", None),
        (str(path), 7, "kafka.acks", '"ALL"'),
        (str(path), 8, "kafka.retries", '"many"'),
    ]
    assert problems[1].hint == 'did you mean "timeframes"?'
    assert problems[2].hint == 'did you mean "all"?'
    assert problems[2].allowed == 'one of "all", "-1", "1", "0"'
    assert problems[3].allowed == "a whole number, 0 to 2147483647"
    told = str(caught.value)
    assert told.startswith("4 problems in the configuration:\n")
    for line, key in ((3, "symbols"), (4, "timeframs"), (7, "acks"), (8, "retries")):
        assert re.search(rf"^{re.escape(str(path))}:{line}: \w+\.{key}\b", told, re.MULTILINE)


def test_unknown_sections_and_keys_in_the_wrong_section_are_told_with_a_remedy(tmp_path: Path) -> None:
    problems = problems_of(
        tmp_path, '[databse]\nhost = "a"\n[kafka]\nhealth_server_port = 1\n[alerts]\nloud = true\n'
    )
    assert [(p.key, p.line, p.hint) for p in problems] == [
        ("databse", 1, 'did you mean "database"?'),
        ("kafka.health_server_port", 4, "did you mean the key of [application]?"),
        ("alerts.loud", 6, None),
    ]


@pytest.mark.parametrize(
    "text", ["kafka = 1", "kafka = []", "[[kafka]]\nenabled = true", 'kafka = "x:hunter2"']
)
def test_a_section_that_is_none_is_told_without_its_content(tmp_path: Path, text: str) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert (problem.key, problem.line) == ("kafka", 1)
    assert "hunter2" not in str(problem)


WRONG = [
    ("application", 'symbols = ["btcusdt"]', 'did you mean "BTCUSDT"?'),
    ("trades", 'symbols = ["BTC*"]', "write each symbol by its name: patterns and ALL have no meaning here"),
    ("trades", 'symbols = ["btcusdt"]', 'did you mean "BTCUSDT"?'),
    ("application", 'symbols = ["BTC USDT"]', None),
    ("application", 'symbols = ["BTCUSDT", "BTCUSDT"]', '"BTCUSDT" is there twice: take one out'),
    ("application", 'symbols = "BTCUSDT"', 'write it in brackets: ["BTCUSDT"]'),
    ("application", "timeframes = [90]", None),
    ("application", "timeframes = [420]", None),
    ("application", "timeframes = [0]", None),
    ("application", "timeframes = [172800]", None),
    ("application", "timeframes = []", None),
    ("application", 'start_date = ""', None),
    ("application", 'start_date = "1970-01-01"', None),
    ("application", "start_date = 12:00:00", None),
    ("application", 'start_date = "2025-02-30T00:00:00Z"', None),
    ("application", 'start_date = "0001-01-01T00:00:00+23:59"', None),
    ("application", 'storage_path = ""', None),
    ("application", 'storage_path = "a\\u0000b"', None),
    ("application", 'storage_path = "~nobody-of-that-name/x"', None),
    ("application", "health_server_port = -1", None),
    ("application", "health_server_port = 65536", None),
    ("application", 'health_server_port = "8080"', "write it without quotes: 8080"),
    ("application", 'gap_detection_enabled = "true"', "write it without quotes: true"),
    ("application", "gap_detection_enabled = 1", None),
    ("application", "monthly_threshold_months = true", None),
    ("application", "recovery_deadline_seconds = 0", None),
    ("application", "recovery_deadline_seconds = inf", None),
    ("application", "recovery_deadline_seconds = nan", None),
    ("application", f"recovery_deadline_seconds = 1{'0' * 400}", None),
    ("technical_analysis", "ema_periods = [0]", None),
    ("technical_analysis", "ema_periods = [21, 21]", "21 is there twice: take one out"),
    ("technical_analysis", "ema_periods = [21.0]", None),
    ("technical_analysis", 'trend_rule = "ema-cross"', 'did you mean "ema_cross"?'),
    ("kafka", 'bootstrap_servers = ["localhost"]', None),
    ("kafka", 'bootstrap_servers = ["localhost:99999"]', None),
    ("kafka", 'topic_prefix = "ta/"', None),
    ("kafka", "acks = 1", 'write it in quotes: "1"'),
    ("kafka", "linger_ms = -1", None),
    ("kafka.security", 'protocol = "sasl_ssl"', 'did you mean "SASL_SSL"?'),
    ("database", 'host = ""', None),
    ("database", "username = 7", 'write it in quotes: "7"'),
    ("volume_profile", "value_area_percentage = 0", None),
    ("volume_profile", "value_area_percentage = 100.1", None),
    ("volume_profile", "fixed_price_increment = -0.01", None),
    ("volume_profile", 'calculation_mode = "tpo"', 'did you mean "TPO"?'),
    ("volume_profile", "asset_overrides = 3", None),
    ("volume_profile.asset_overrides", "BTCUSDT = 3", None),
    ("volume_profile.asset_overrides", "btcusdt = { enabled = false }", None),
    ("volume_profile.asset_overrides", '"*USDT" = { enabled = false }', None),
    ("volume_profile.asset_overrides", "BTCUSDT = { batch_size = 0 }", None),
    ("volume_profile.asset_overrides", "BTCUSDT = { mode = 0 }", None),
    ("exchange", 'rest_url = "wss://fapi.binance.com"', None),
    ("exchange", 'rest_url = "https://"', None),
    ("exchange", 'rest_url = "https://me:pass@host"', None),
    ("exchange", 'rest_url = "https://host:99999"', None),
    ("exchange", 'rest_url = "https://host/?x=1"', None),
    ("exchange", 'rest_url = "https://[::1"', None),
    ("exchange", 'stream_url = "https://fstream.binance.com"', None),
    ("exchange", "clock_rate = 0", None),
    ("ui", "refresh_hz = 0.1", None),
    ("ui", "refresh_hz = 21", None),
    ("ui", "colors = 256", 'write it in quotes: "256"'),
    ("service", 'log_level = "warn"', 'did you mean "warning"?'),
]


@pytest.mark.parametrize(("section", "line", "hint"), WRONG)
def test_a_wrong_value_is_one_problem_at_its_line(
    tmp_path: Path, section: str, line: str, hint: str | None
) -> None:
    (problem,) = problems_of(tmp_path, f"\n[{section}]\n# here:\n{line}\n")
    assert problem.line == 4
    name = line.split(" =")[0].strip('"')
    assert f"{section}.{name}" in str(problem)
    if hint is not None:
        assert problem.hint == hint
    assert "Error" not in str(problem)


def test_a_wrong_element_is_told_at_its_own_line(tmp_path: Path) -> None:
    text = '[application]\nsymbols = [\n  "BTCUSDT",\n\n  "eth",\n]\n'
    text += '[kafka]\nbootstrap_servers = ["a:1",\n"b", 3]\n'
    first, second = problems_of(tmp_path, text)
    assert (first.key, first.line, first.value) == ("application.symbols", 5, '"eth"')
    assert (second.key, second.line, second.value) == ("kafka.bootstrap_servers", 9, '["b", 3]')


def keys_of_the_example() -> list[tuple[int, str, str]]:
    """Line index, section and key of every key of the example, those behind a # included."""
    found, section = [], ""
    for index, line in enumerate(EXAMPLE.read_text().splitlines()):
        if header := re.match(r"\[(.+?)\]", line):
            section = header[1]
        elif (key := re.match(r"(?:# )?(\w+) = ", line)) and section != "volume_profile.asset_overrides":
            found.append((index, section, key[1]))
    return found


LITERALS = {
    bool: "true",
    int: "7",
    float: "1.5",
    str: '"nonsense"',
    list: '[true, "x\\u001b"]',
    dict: "{ a = { b = 1 } }",
    datetime: "2025-01-01",
}
KEYS = keys_of_the_example()


def fits(form: type, default: object) -> bool:
    if isinstance(default, datetime):
        return form is datetime
    if isinstance(default, tuple):
        return False
    if default is None or isinstance(default, str | Path):
        return form is str
    return form in ((int, float) if isinstance(default, float) else (type(default),))


@settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(which=st.sampled_from(KEYS), form=st.sampled_from(sorted(LITERALS, key=repr)), shift=st.integers(0, 3))
def test_any_key_of_a_wrong_type_is_exactly_one_problem_at_its_line(
    tmp_path: Path, which: tuple[int, str, str], form: type, shift: int
) -> None:
    index, section, key = which
    parsed: Any = Config()
    for part in section.split("."):
        parsed = getattr(parsed, part)
    default = UNSET.get(key, getattr(parsed, key))
    if fits(form, default):
        return
    lines = EXAMPLE.read_text().splitlines()
    lines[index] = f"{key} = {LITERALS[form]}"
    (problem,) = problems_of(tmp_path, "# more\n" * shift + "\n".join(lines))
    assert (problem.key, problem.line) == (f"{section}.{key}", index + 1 + shift)
    assert problem.allowed
    assert "\x1b" not in str(problem)


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("[volume_profile]\nmin_price_increment = 2", "volume_profile.min_price_increment", 2),
        ("[volume_profile]\nmax_price_increment = 0.0001", "volume_profile.max_price_increment", 2),
        (
            "[volume_profile.asset_overrides]\n\nBTCUSDT = { max_price_increment = 0.0001 }",
            "volume_profile.asset_overrides.BTCUSDT.max_price_increment",
            3,
        ),
        ("[kafka]\nlinger_ms = 90001", "kafka.linger_ms", 2),
        ("[kafka]\ndelivery_timeout_ms = 30009", "kafka.delivery_timeout_ms", 2),
        ("[kafka.security]\nssl_keyfile = 'k'\nprotocol = 'SSL'", "kafka.security.ssl_keyfile", 2),
        (
            "[technical_analysis]\nema_periods = [21]\ntrend_rule = 'ema_cross'",
            "technical_analysis.trend_rule",
            3,
        ),
    ],
)
def test_keys_that_contradict_each_other_are_told(tmp_path: Path, text: str, key: str, line: int) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert (problem.key, problem.line) == (key, line)


def test_sasl_needs_a_user_and_a_password(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "[kafka.security]\nprotocol = 'SASL_SSL'\n")
    assert [p.message for p in problems] == [
        "needs kafka.security.sasl_username",
        "needs kafka.security.sasl_password",
    ]


def test_a_wrong_key_is_not_told_twice_through_its_neighbour(tmp_path: Path) -> None:
    text = "[volume_profile]\nmin_price_increment = 'x'\nmax_price_increment = 0.0001\n"
    assert [p.key for p in problems_of(tmp_path, text)] == ["volume_profile.min_price_increment"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[exchange]\nrest_url = "http://proxy.example:8000"', "exchange.rest_url"),
        ('[exchange]\nstream_url = "ws://10.0.0.1"', "exchange.stream_url"),
        ("[exchange]\nclock_rate = 2", "exchange.clock_rate"),
        ("[application]\nrespect_config_start_date = true", "application.respect_config_start_date"),
        ("[kafka.security]\nsasl_username = 'me'", "kafka.security.sasl_username"),
        ("[kafka.security]\nssl_cafile = 'ca.pem'", "kafka.security.ssl_cafile"),
        ("[database]\nssl_cafile = 'ca.pem'", "database.ssl_cafile"),
        ("[volume_profile]\nmax_price_increment = 100", "volume_profile.max_price_increment"),
        ("[logging]\nlevel_filter = 'x'", "logging.level_filter"),
        ("adaptive.overrides = {}", "adaptive.overrides"),
        ('[trades]\nsymbols = ["BTCUSDT", "coinm:BTCUSD_PERP"]', "trades.symbols"),
    ],
)
def test_what_has_no_good_effect_is_told_as_one_warning(tmp_path: Path, text: str, key: str) -> None:
    (warning,) = load_text(tmp_path, text).warnings
    assert (warning.key, warning.line) == (key, text.count("\n") + 1)
    assert warning.hint


def test_a_symbol_whose_trades_are_not_read_is_named_with_place_and_remedy(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, '[trades]\nsymbols = ["spot:BTCUSDT", "coinm:BTCUSD_PERP"]\n')
    assert str(loaded.warnings[0]).endswith(
        ':2: trades.symbols = "coinm:BTCUSD_PERP" is of a market whose trades are not read: they count '
        "contracts\n    take it out; its profiles are those of candles"
    )


def test_a_key_without_effect_is_reported_when_set_to_another_value_than_its_default(tmp_path: Path) -> None:
    text = "[kafka]\nretries = 5\nmax_in_flight_requests_per_connection = 1\n"
    (warning,) = load_text(tmp_path, text).warnings
    assert str(warning).endswith(
        ":2: kafka.retries = 5 is accepted, but a message is sent again until the broker has it"
    )
    (warning,) = load(None, environ={"FEEDER_APPLICATION__TIMEFRAMES": "300"}).warnings
    assert (warning.file, warning.key) == (
        "environment FEEDER_APPLICATION__TIMEFRAMES",
        "application.timeframes",
    )


def test_a_first_day_in_the_future_is_a_problem_but_for_a_simulated_exchange(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[application]\nstart_date = "2099-01-01"\n')
    with pytest.raises(ConfigError) as refused:
        load(file, environ={})
    assert str(refused.value) == (
        f"1 problem in the configuration:\n{file}:2: application.start_date = 2099-01-01 is in the future\n"
        "    name a day in the past, or leave it out"
    )
    load(file, environ={"FEEDER_EXCHANGE__REST_URL": "http://127.0.0.1:1"})


@pytest.mark.parametrize(
    "text",
    [
        'enabled = true\nmonths_folder = "partitions"',
        'enabled = true\nmonths_folder = "partitions/m"',
        'enabled = true\nfolder = "m/days"\nmonths_folder = "m"',
    ],
)
def test_months_have_a_folder_of_their_own(tmp_path: Path, text: str) -> None:
    (problem,) = problems_of(tmp_path, f"[parquet]\n{text}\n")
    assert problem.key == "parquet.months_folder"
    assert "a reader of one would find each minute twice" in str(problem)
    sound = load_text(tmp_path, '[parquet]\nmonths_folder = "months"\n')
    assert sound.config.parquet.months_folder == Path("months")
