"""Importing the package or its configuration loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tui_feeder


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
