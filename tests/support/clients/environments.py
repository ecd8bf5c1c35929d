"""Environments for clients from the package index, one each: their dependencies exclude each other."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

#: By name: packages, pinned.
PACKAGES = {
    "ccxt": ("ccxt==4.5.90",),
    "python-binance": ("python-binance==1.0.37",),
    "connector": ("binance-futures-connector==4.2.0",),
    "sdk": ("binance-sdk-derivatives-trading-usds-futures==18.1.0",),
    "freqtrade": ("freqtrade==2026.9",),
    "jesse": ("jesse==3.5.3",),
}
FOLDER = Path(os.environ.get("FEEDER_TEST_CLIENTS", Path.home() / ".cache" / "feeder-tui-test-clients"))


class CannotInstallError(Exception):
    """The package index does not give it; the text has the reason."""


def interpreter(name: str) -> Path:
    """The Python of an environment, made when there is none of these packages yet.

    Raises:
        CannotInstallError: it cannot be made.
    """
    packages = PACKAGES[name]
    folder = (
        FOLDER / f"{'-'.join(packages).replace('=', '')}-{sys.version_info.major}.{sys.version_info.minor}"
    )
    python, done = folder / "bin" / "python", folder / ".installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        run = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
            capture_output=True, text=True,
        )  # fmt: skip
        if run.returncode:
            raise CannotInstallError(run.stderr[-2000:])
        done.touch()
    return python
