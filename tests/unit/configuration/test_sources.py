from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tui_feeder.config import ConfigError, LoadedConfig, find_config, load


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def load_text(folder: Path, text: str, **environ: str) -> LoadedConfig:
    return load(write(folder, text), environ=environ)


def test_flags_beat_the_environment_which_beats_the_file_which_beats_the_defaults(tmp_path: Path) -> None:
    path = write(
        tmp_path, "[application]\nmonthly_threshold_months = 4\nsymbols = ['A']\nhealth_server_port = 1\n"
    )
    environ = {"FEEDER_APPLICATION__SYMBOLS": "B, C", "FEEDER_APPLICATION__HEALTH_SERVER_PORT": "2"}
    flags = {"application.health_server_port": 3, "application.storage_path": Path("here"), "ui.slow": None}
    loaded = load(path, environ=environ, flags=flags)
    application = loaded.config.application
    assert application.monthly_threshold_months == 4
    assert application.symbols == ("B", "C")
    assert application.health_server_port == 3
    assert application.storage_path == Path("here")
    assert application.timeframes == (60,)
    origins = loaded.origins
    assert origins["application.monthly_threshold_months"] == f"file {path}:2"
    assert origins["application.symbols"] == "environment FEEDER_APPLICATION__SYMBOLS"
    assert origins["application.health_server_port"] == "flag --health-server-port"
    assert origins["application.storage_path"] == "flag --storage"
    assert origins["application.timeframes"] == "default"
    assert origins["ui.slow"] == "default"


def test_a_value_that_is_overridden_must_still_be_right(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, "[ui]\nslow = 1\n", FEEDER_UI__SLOW="true")
    assert [problem.line for problem in caught.value.problems] == [2]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("APPLICATION__SYMBOLS", "BTCUSDT,ETHUSDT", ("BTCUSDT", "ETHUSDT")),
        ("APPLICATION__SYMBOLS", '["BTCUSDT", "ETHUSDT"]', ("BTCUSDT", "ETHUSDT")),
        ("APPLICATION__SYMBOLS", "['BTCUSDT', 'ETHUSDT',]", ("BTCUSDT", "ETHUSDT")),
        ("APPLICATION__TIMEFRAMES", "60, 300", (60, 300)),
        ("APPLICATION__GAP_DETECTION_ENABLED", "False", False),
        ("APPLICATION__STORAGE_PATH", "/var/lib/feeder", Path("/var/lib/feeder")),
        ("APPLICATION__START_DATE", "2025-01-01T00:00:00Z", datetime(2025, 1, 1, tzinfo=UTC)),
        ("KAFKA__ACKS", "1", "1"),
        ("KAFKA__LINGER_MS", " 20 ", 20),
        ("UI__REFRESH_HZ", "0.5", 0.5),
        ("UI__REFRESH_HZ", "2", 2.0),
        ("KAFKA__SECURITY__SASL_MECHANISM", "SCRAM-SHA-256", "SCRAM-SHA-256"),
    ],
)
def test_the_environment_sets_values_of_every_type(name: str, text: str, expected: object) -> None:
    value: Any = load(None, environ={f"FEEDER_{name}": text}).config
    for part in name.lower().split("__"):
        value = getattr(value, part)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("APPLICATION__SYMBOLS", ""),
        ("APPLICATION__SYMBOLS", "BTCUSDT,"),
        ("APPLICATION__SYMBOLS", '["BTCUSDT"'),
        ("APPLICATION__TIMEFRAMES", "60,x"),
        ("APPLICATION__GAP_DETECTION_ENABLED", "maybe"),
        ("APPLICATION__HEALTH_SERVER_PORT", "9" * 5000),
        ("APPLICATION__HEALTH_SERVER_PORT", "80.5"),
        ("UI__REFRESH_HZ", "nan"),
        ("UI__REFRESH_HZ", "1_0"),
        ("DATABASE__HOST", "\udce4"),
        ("APPLICATION__SYMBOLS", "[" * 5000),
    ],
)
def test_a_wrong_variable_is_a_problem_that_names_it(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, environ={f"FEEDER_{name}": text})
    (problem,) = caught.value.problems
    assert problem.file == f"environment FEEDER_{name}"
    assert problem.key == name.lower().replace("__", ".")
    str(caught.value).encode()


def test_unknown_variables_are_problems_with_a_guess() -> None:
    environ = {
        "FEEDER_CONFIG": "elsewhere.toml",
        "FEEDERS": "not ours",
        "FEEDER_APPLICATION__SYMBOL": "BTCUSDT",
        "FEEDER_KAFKA": "x",
        "FEEDER_VOLUME_PROFILE__ASSET_OVERRIDES__BTCUSDT__BATCHSIZE": "1",
        "FEEDER_": "",
    }
    with pytest.raises(ConfigError) as caught:
        load(None, environ=environ)
    hints = {p.file.removeprefix("environment "): p.hint for p in caught.value.problems}
    assert set(hints) == set(environ) - {"FEEDER_CONFIG", "FEEDERS"}
    assert hints["FEEDER_APPLICATION__SYMBOL"] == "did you mean FEEDER_APPLICATION__SYMBOLS?"
    assert hints["FEEDER_VOLUME_PROFILE__ASSET_OVERRIDES__BTCUSDT__BATCHSIZE"] == (
        "did you mean FEEDER_VOLUME_PROFILE__ASSET_OVERRIDES__BTCUSDT__BATCH_SIZE?"
    )


def test_a_wrong_flag_is_a_problem_that_names_it() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, environ={}, flags={"application.symbols": [], "service.log_level": "loud", "ui.hz": 1})
    assert [(p.file, p.key) for p in caught.value.problems] == [
        ("flag --symbols", "application.symbols"),
        ("flag --log-level", "service.log_level"),
        ("flag --hz", "ui.hz"),
    ]


def test_the_file_is_looked_for_here_then_in_the_configuration_directory(tmp_path: Path) -> None:
    here, home, xdg = tmp_path / "here", tmp_path / "home", tmp_path / "xdg"
    for folder in (here, home / ".config" / "feeder-tui", xdg / "feeder-tui"):
        folder.mkdir(parents=True)
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": str(xdg)}
    assert find_config(environ, here) is None
    (home / ".config" / "feeder-tui" / "config.toml").touch()
    assert find_config(environ, here) is None
    assert find_config({"HOME": str(home)}, here) == home / ".config" / "feeder-tui" / "config.toml"
    assert find_config({"HOME": str(home), "XDG_CONFIG_HOME": "relative"}, here) is not None
    (xdg / "feeder-tui" / "config.toml").touch()
    assert find_config(environ, here) == xdg / "feeder-tui" / "config.toml"
    (here / "config.toml").touch()
    assert find_config(environ, here) == here / "config.toml"
    assert find_config({**environ, "FEEDER_CONFIG": "/no/such/file"}, here) == Path("/no/such/file")


def test_a_missing_file_a_directory_and_a_huge_file_are_told_with_a_remedy(tmp_path: Path) -> None:
    huge = tmp_path / "huge.toml"
    huge.write_text("#" * (1 << 20) + "\n")
    for path, word in (
        (tmp_path / "none.toml", "feeder-tui config init"),
        (tmp_path, "config.toml"),
        (huge, "1048576"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(path, environ={"FEEDER_UI__SLOW": "x"})
        first, second = caught.value.problems
        assert first.file == str(path)
        assert word in str(first)
        assert second.key == "ui.slow"


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (b"[application]\nsymbols = = 1\n", 2, 11),
        (b"[application]\nsymbols = [1,\n", 3, None),
        (b"a = 1\n\na = 2\n", 3, 6),
        (b"[ui]\n\ntheme = '\xff'\n", 3, None),
        (b"x = " + b"9" * 5000, None, None),
        (b"x = " + b"[" * 5000, None, None),
    ],
)
def test_what_is_not_toml_is_told_with_its_place(
    tmp_path: Path, content: bytes, line: int | None, column: int | None
) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (line, column)
    assert "TOML" in problem.message or "UTF-8" in problem.message


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf[ui]\r\n\r\nslow = true\r\n")
    loaded = load(path, environ={})
    assert loaded.config.ui.slow
    assert loaded.origins["ui.slow"] == f"file {path}:3"


def test_very_deep_old_keys_do_no_harm(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, f"[adaptive.{'.'.join('a' * 3000)}]\nx = 1\n")
    assert len(loaded.warnings) == 1
