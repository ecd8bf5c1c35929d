"""A wrong value of an option ends in one message with the option, the value and what is allowed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from command_line import called

from tui_feeder.commands.export_run import ExportError, _file


@pytest.mark.parametrize(
    ("call", "value", "allowed"),
    [
        ("--demo --demo-speed", "nan", "is not a number from 0.1 to 3600"),
        ("--run-for", "1e99", "is not a number from 0 to 1000000000"),
        ("--run-for", "-5", "is not a number from 0 to 1000000000"),
        ("--hz", "inf", "is not a number from 0.2 to 20"),
        ("attach --hz", "fast", "is not a number from 0.2 to 20"),
        ("simulate --port", "70000", "is not a whole number from 0 to 65535"),
        ("simulate --speed", "", "is not a number from 0.1 to 3600"),
        ("simulate --seed", "1.5", "is not a whole number from 0 to 4294967295"),
        ("serve --port", "0", "is not a whole number from 1 to 65535"),
        ("gateway --port", "http", "is not a whole number from 0 to 65535"),
        ("replay --speed", "0", "is not a number from 0.001 to 86400"),
        ("doctor --patience", "1e9", "is not a number from 1 to 300"),
    ],
)
def test_a_number_out_of_range(call: str, value: str, allowed: str) -> None:
    words = shlex.split(call)
    done = called(*words, value)
    assert done.exit_code == 2
    assert f"Invalid value for '{words[-1]}': {value!r} {allowed}" in done.output


@pytest.mark.parametrize("command", ["gaps", "info", "verify --offline", "replay", "backfill", "doctor"])
@pytest.mark.parametrize("value", ["", " , "])
def test_a_list_without_a_symbol(command: str, value: str) -> None:
    done = called(*shlex.split(command), "--symbols", value)
    assert done.exit_code == 2
    assert f"--symbols {value!r} has no symbol" in done.output


@pytest.mark.parametrize("name", ["spot:BTCUSDT", "BTC"])
def test_a_name_that_the_embedded_exchange_cannot_list(name: str) -> None:
    done = called("simulate", "--symbols", name)
    assert done.exit_code == 2
    assert f"no symbol {name!r}: a name must end in USDT or USDC" in done.output


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none/bars.csv", "No such file or directory: name one in a folder that is there"),
        ("folder", "Is a directory: name a file"),
        ("x" * 300, "File name too long: name a shorter one"),
    ],
)
def test_a_file_that_the_system_refuses(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / name
    with pytest.raises(ExportError, match=re.escape(f"{path} cannot be written: {reason}")), _file(path):
        pytest.fail("nothing is written")


@pytest.mark.parametrize("name", ["", "a b", "http://feeder/", "feeder:8000"])
def test_what_is_no_name_of_a_host(name: str) -> None:
    done = called("serve", "--allow-host", name)
    assert done.exit_code == 2
    assert f"--allow-host {name!r} is not allowed: write names of hosts" in done.output
