"""Disks that are really full: small file systems of their own."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_SYS_ADMIN = 1 << 21


def may_mount() -> bool:
    """Whether this process has the right to (CAP_SYS_ADMIN)."""
    if sys.platform != "linux":
        return False
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return bool(int(told["CapEff"], 16) & _SYS_ADMIN)


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A file system of 8 MB at ``path``. Whoever may mount one must get it; others skip the test."""
    if not may_mount():
        pytest.skip("mounting a small file system takes the rights of root (CAP_SYS_ADMIN)")
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def fill(path: Path) -> None:
    """Write a file until its disk takes not one byte more."""
    with path.open("wb", buffering=0) as stream:
        for size in (1 << 16, 1):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(b"x" * size)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            stream.write(b"x")
