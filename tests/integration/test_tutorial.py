"""The tutorial's commands, run as written, one after the other, in an empty folder with an empty home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_the_first_hour_of_a_data_engineer(tmp_path: Path) -> None:
    text = _TUTORIAL.read_text()
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    runtime = tempfile.mkdtemp(prefix="feeder-")  # a socket's path has at most 107 bytes
    environ = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_RUNTIME_DIR": runtime,
        "LANG": "C.UTF-8",
    }
    for kind, block in blocks:
        command = (
            ["bash", "-eu", "-o", "pipefail", "-c", block] if kind == "sh" else [sys.executable, "-c", block]
        )
        done = subprocess.run(
            command, cwd=work, env=environ, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert len((work / "btc-1h.csv").read_text().splitlines()) > 1_000
    assert len((work / "messages.jsonl").read_text().splitlines()) > 80_000
    assert (work / "minutes.jsonl").read_text().count("\n") > 12
    assert (work / "config.toml").exists()
