"""Importing the package or its configuration loads nothing heavy, and a command what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tui_feeder

#: Runs a command line, and prints which of the libraries it has loaded.
STARTED = """
import contextlib, sys
from tui_feeder.cli import main
heavy = sys.argv.pop(1).split(",")
with contextlib.suppress(SystemExit):
    main()
print("loaded:", *(name for name in heavy if name in sys.modules), file=sys.stderr)
"""
SCREENS, NETWORK = "textual,rich", "aiohttp,websockets,aiokafka,asyncpg,prometheus_client"


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (("--help",), f"{SCREENS},{NETWORK},numpy,asyncio,lmdb,msgspec"),
        (("config", "show"), f"{SCREENS},{NETWORK},numpy,asyncio,lmdb"),
        (("config", "check", "--symbols", "BTCUSDT"), f"{SCREENS},{NETWORK}"),
        (("gaps", "--storage", "none", "--from", "2026-02-21"), f"{SCREENS},{NETWORK},tui_feeder.monitor"),
        (("export", "--storage", "none", "--symbol", "BTCUSDT"), f"{SCREENS},{NETWORK}"),
        (("proof", "show", "none"), f"{SCREENS},{NETWORK}"),
        (("status", "--socket", "none"), f"{SCREENS},{NETWORK},lmdb"),
    ],
)
def test_a_command_loads_what_it_needs(words: tuple[str, ...], heavy: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTED, f"pydantic,{heavy}", *words],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "loaded:", done.stderr


def test_importing_the_configuration_loads_nothing_heavy() -> None:
    heavy = "{'textual', 'rich', 'numpy', 'typer', 'aiohttp', 'asyncio', 'lmdb'}"
    code = f"import sys, tui_feeder.config; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_loads_nothing_and_its_names_are_there() -> None:
    program = "import sys, tui_feeder; print(*sys.modules); tui_feeder.open_store"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"numpy", "lmdb", "aiohttp", "typer", "textual", "msgspec"}
    assert set(tui_feeder.__all__) <= set(dir(tui_feeder))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        tui_feeder.nothing  # noqa: B018
