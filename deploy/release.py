"""Builds a release: ``make release``, or ``python deploy/release.py FOLDER``.

Into the folder go the sdist, the wheel that is built of it, a bill of materials of what an installation with
all extras consists of (SBOM, CycloneDX), and SHA256SUMS.txt of all three.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(__file__).with_name("release-tools.txt")
EXTRAS = "parquet,proof,mcp,socks,browser"


def run(*words: str | Path) -> None:
    """Run a program; it has to end well.

    Args:
        words: of its command line.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    subprocess.run([str(word) for word in words], check=True, cwd=ROOT)


def build(folder: Path, scratch: Path) -> None:
    """Build everything.

    Args:
        folder: where the release goes; made if it is not there.
        scratch: a folder for the environments that are needed meanwhile.

    Raises:
        subprocess.CalledProcessError: something could not be installed or built.
        FileExistsError: the folder holds something already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if held := sorted(path.name for path in folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty, it holds {held[0]}: remove it, or name another folder")
    tools, bare = scratch / "tools", scratch / "bare"
    run(sys.executable, "-m", "venv", tools)
    pip = (tools / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "install", "--requirement", TOOLS)
    run(tools / "bin" / "python", "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    # Without pip: it is no part of an installation.
    run(sys.executable, "-m", "venv", "--without-pip", bare)
    run(
        *pip,
        "--python",
        bare / "bin" / "python",
        "install",
        "-c",
        ROOT / "constraints.txt",
        f"{wheel}[{EXTRAS}]",
    )
    stem = re.sub(r"-py3-none-any$", "", wheel.stem)
    run(
        tools / "bin" / "cyclonedx-py", "environment", "--output-reproducible",
        "--pyproject", ROOT / "pyproject.toml", "--output-file", folder / f"{stem}.cdx.json",
        bare / "bin" / "python",
    )  # fmt: skip
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir())
    ]
    (folder / "SHA256SUMS.txt").write_text("".join(sums))


def main() -> None:
    """Build into the folder of the command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: python deploy/release.py FOLDER")
    with tempfile.TemporaryDirectory(prefix="feeder-release-") as scratch:
        try:
            build(Path(sys.argv[1]).absolute(), Path(scratch))
        except (FileExistsError, subprocess.CalledProcessError) as error:
            sys.exit(f"deploy/release.py: {error}")


if __name__ == "__main__":
    main()
