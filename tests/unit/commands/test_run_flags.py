"""The flags of a run reach its configuration, each of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import called

from tui_feeder import runner
from tui_feeder.config import LoadedConfig


@pytest.mark.parametrize(
    ("flag", "value", "key", "expected"),
    [
        ("--hz", "2", "ui.refresh_hz", 2.0),
        ("--slow", None, "ui.slow", True),
        ("--theme", "feeder-light", "ui.theme", "feeder-light"),
        ("--colors", "16", "ui.colors", "16"),
        ("--symbols-set", "block", "ui.symbol_set", "block"),
        ("--symbols", "BTCUSDT,ETHUSDT", "application.symbols", ("BTCUSDT", "ETHUSDT")),
        ("--storage", "elsewhere", "application.storage_path", "elsewhere"),
        ("--log-level", "warning", "service.log_level", "warning"),
    ],
)
def test_a_flag_goes_before_the_file(
    flag: str,
    value: str | None,
    key: str,
    expected: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[LoadedConfig] = []

    def kept(loaded: LoadedConfig, *_: object) -> int:
        seen.append(loaded)
        return 0

    monkeypatch.setattr(runner, "run", kept)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(
        '[ui]\nrefresh_hz = 3\nslow = false\ntheme = "feeder-dark"\n[service]\nlog_level = "error"\n'
    )
    given = [flag] if value is None else [flag, value]
    done = called("--no-ui", *given)
    assert done.exit_code == 0, done.output
    section, name = key.split(".")
    assert str(getattr(getattr(seen[0].config, section), name)) == str(expected)
    assert seen[0].origins[key].startswith("flag")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--symbols foo:BTCUSDT config check", "--symbols before the command config has no effect"),
        ("-c config.toml status", "--config before the command status has no effect"),
        ("--demo gaps", "--demo before the command gaps has no effect"),
        ("--storage x --debug info", "--storage before the command info has no effect"),
    ],
)
def test_a_flag_of_a_run_before_a_command_is_refused(words: str, named: str) -> None:
    done = called(*words.split())
    assert done.exit_code == 2
    assert named in done.output
    assert "write it behind the command if that takes it; feeder-tui " in done.output


def test_the_flag_for_tracebacks_may_stand_before_a_command() -> None:
    assert called("--debug", "config", "schema").exit_code == called("config", "schema").exit_code
