"""The wheel and the sdist as users install them: into bare environments of each Python that is supported."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commanding import environment

from tests.support.places import ROOT

PYTHONS = ("3.11", "3.12", "3.13")
pytestmark = pytest.mark.timeout(900)


def interpreter(version: str) -> str:
    """A Python of this version that runs; skips the test where there is none."""
    found = sys.executable if sys.version.startswith(f"{version}.") else shutil.which(f"python{version}")
    # A shim on the path may stand for none.
    if found is None or subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"no Python {version} is here")
    return found


def run(*words: str | Path, cwd: Path, **env: str) -> str:
    """What a program printed on standard output; it has to end well."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def first_message(feeder: Path, folder: Path) -> dict[str, Any]:
    """The first message of a demo, which then has to shut down cleanly."""
    words = [str(feeder), "--demo", "--output", "jsonl"]
    demo = subprocess.Popen(
        words, cwd=folder, env=environment(HOME=str(folder)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert demo.stdout is not None
    line = demo.stdout.readline()
    demo.send_signal(signal.SIGTERM)
    _, log = demo.communicate(timeout=60)
    assert demo.returncode == 0, log.decode()[-3000:]
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist, and the wheel that is built of it, by the ending of their names."""
    folder = tmp_path_factory.mktemp("dist")
    bare = folder / "environment"
    run(sys.executable, "-m", "venv", bare, cwd=folder)
    pip = [bare / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "install", "-c", ROOT / "constraints.txt", "hatchling", cwd=folder)
    run(bare / "bin" / "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, sdist, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return {"gz": sdist, "whl": wheel}


@pytest.mark.xdist_group("wheel")
@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_installs_into_a_bare_environment_and_runs(
    built: dict[str, Path], version: str, tmp_path: Path
) -> None:
    bare = tmp_path / "environment"
    run(interpreter(version), "-m", "venv", bare, cwd=tmp_path)
    pip = [bare / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "install", "-c", ROOT / "constraints.txt", built["whl"], cwd=tmp_path)
    run(*pip, "check", cwd=tmp_path)
    feeder = bare / "bin" / "feeder-tui"
    stated = run(feeder, "--version", cwd=tmp_path)
    assert built["whl"].name.startswith(f"feeder_tui-{stated.split()[-1]}-")
    run(feeder, "config", "init", cwd=tmp_path)
    assert "valid" in run(feeder, "config", "check", cwd=tmp_path)
    assert "symbol" in first_message(feeder, tmp_path)
    found = run(
        bare / "bin" / "python", "-c", "import tui_feeder; print(tui_feeder.open_store)", cwd=tmp_path
    )
    assert "open_store" in found
    # man looks beside the folders of programs of the path.
    page = bare / "share" / "man" / "man1" / "feeder-tui.1"
    assert page.read_text() == (ROOT / "docs" / "feeder-tui.1").read_text()
    if shutil.which("man") is not None:
        path = f"{bare / 'bin'}{os.pathsep}{os.environ['PATH']}"
        shown = run("man", "-P", "cat", "feeder-tui", cwd=tmp_path, PATH=path, MANPATH="", MANWIDTH="80")
        assert re.search("--run-for", re.sub(r".\x08", "", shown))


@pytest.mark.xdist_group("wheel")
@pytest.mark.skipif(shutil.which("pipx") is None, reason="pipx is not installed")
def test_pipx_runs_it_without_an_installation(built: dict[str, Path], tmp_path: Path) -> None:
    words = ("pipx", "run", "--spec", built["whl"], "feeder-tui", "--version")
    printed = run(*words, cwd=tmp_path, PIPX_HOME=str(tmp_path / "pipx"), HOME=str(tmp_path))
    assert re.fullmatch(r"feeder-tui \d+\.\d+\.\d+\S*\n", printed)


@pytest.mark.xdist_group("wheel")
def test_a_bill_of_materials_lists_what_is_installed(built: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "dist"
    run(sys.executable, ROOT / "deploy" / "release.py", out, cwd=tmp_path)
    (bill,) = out.glob("*.cdx.json")
    assert {"feeder-tui", "aiohttp", "lmdb"} <= set(re.findall(r'"name": "([\w-]+)"', bill.read_text()))
    assert {path.suffix for path in out.iterdir()} == {".whl", ".gz", ".json", ".txt"}
