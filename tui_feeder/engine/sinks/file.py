"""Messages as JSON lines in files that rotate: ``{path}/data-20260310T120000000Z.jsonl``, one a topic.

The newest file is plain text and grows; one that is over is compressed. The time in a name is that of its
making, by the local clock, so names sort. Lines are on the disk before the outbox lets go of them: after a
kill the last ones may be there twice, distinguished by symbol, timestamp and revision, and none is missing.
What a kill left half written, a line or a compressed file, is put right at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import gzip
import importlib
import math
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from tui_feeder.atomic_write import sync_directory
from tui_feeder.config import File
from tui_feeder.engine.core.event_names import event_name
from tui_feeder.engine.sinks.draining import DrainingSink
from tui_feeder.engine.sinks.thread import TICK, SinkError
from tui_feeder.engine.storage.outbox import Outbox
from tui_feeder.paths import FolderError, check_owner

_MB = 1 << 20
#: Payloads taken from the outbox and written at once, bytes.
_AT_ONCE = 4 << 20
#: Bytes compressed in one go; in between it is seen whether the feeder ends.
_CHUNK = 1 << 20
#: A compression that failed is tried again so much later, seconds.
_AGAIN_SECONDS = 60.0
_SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _ZstdFile:
    """One frame of zstd, written piece by piece."""

    def __init__(self, stream: BinaryIO) -> None:
        # cramjam rather than zstandard: Kafka's snappy, lz4 and zstd need it already.
        self._packing: Any = importlib.import_module("cramjam").zstd.Compressor(3)
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._packing.compress(data)
        self._stream.write(bytes(self._packing.flush()))

    def close(self) -> None:
        self._stream.write(bytes(self._packing.finish()))


_PACKED: dict[str, Callable[[BinaryIO], Any]] = {
    "gzip": lambda stream: gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=6, mtime=0),
    "zstd": _ZstdFile,
}


class FileSink(DrainingSink):
    """Appends what the outbox gives to the newest file of its topic.

    Args:
        config: the section ``[file]``.
        outbox: where the messages wait.
    """

    kind = "file"
    #: A write that hangs in the disk cannot be cancelled, and two sessions must not write to one file: it is
    #: shown as stalled, and goes on when the disk answers.
    replace_after_seconds = math.inf

    def __init__(self, config: File, outbox: Outbox) -> None:
        super().__init__(outbox)
        self._config = config
        self._folder = config.path
        self._topic = outbox.topic
        self._descriptor = -1
        self._file = Path()  # the newest
        self._size = 0  # its bytes
        self._born = 0  # when it was made, ms of the local clock
        self._pack_at = 0.0  # time.monotonic() of the next look for files to be compressed

    async def session(self) -> None:
        """Open the newest file and append to it, rotate it, compress those before it."""
        packing: asyncio.Task[None] | None = None
        try:
            await asyncio.to_thread(self._open)
            self.connected(f"writing to {self._file}")
            while True:
                if self._over():
                    await asyncio.to_thread(self._begin)
                    self.count(event_name(self.name, "rotations"), 1)
                    self._pack_at = 0.0
                ending, lines = self.ending, self.outbox.read_after(self.taken, _AT_ONCE)
                if lines:
                    await asyncio.to_thread(self._append, [message.payload for message in lines])
                    self.take(lines[-1].number)
                    self.count(event_name(self.name, "messages"), len(lines))
                self.progress()
                if packing is not None and packing.done():
                    self._check_packing(packing)
                    packing = None
                if packing is None and time.monotonic() >= self._pack_at:
                    self._pack_at = float("inf")
                    packing = asyncio.create_task(asyncio.to_thread(self._pack))
                if self.over(idle=ending and not lines):
                    break
                if not lines:
                    self.report_dropped()
                    await self.woken(TICK)
            await self.flush()
        except OSError as error:
            raise SinkError(describe_error(error, self._folder)) from error
        finally:
            if packing is not None:
                with contextlib.suppress(OSError):
                    await packing  # it sees that the feeder ends
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    # --- the newest file ------------------------------------------------------------------------

    def _open(self) -> None:
        """Go on with the newest file, its last line whole, or begin one."""
        _check_owner(self._folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        for half in self._folder.glob(f"{self._topic}-*.part"):
            half.unlink()
        self._pack_at = 0.0
        found = plain_files(self._folder, self._topic)
        if not found:
            self._begin()
            return
        self._take_over(found[-1], os.O_RDWR | os.O_APPEND)
        self._born = _born(self._file)
        whole = _whole_lines(self._descriptor, self._size)
        if whole < self._size:
            self.note("warning", f"{self.name}: {self._file}: half a line of a kill taken out")
            self._cut(whole)

    def _begin(self) -> None:
        """The first or the next file."""
        newest = max((_born(file) for file in files(self._folder, self._topic)), default=0)
        self._born = max(time.time_ns() // 1_000_000, newest + 1)  # a clock set back must not mix them up
        moment = datetime.fromtimestamp(self._born / 1000, UTC)
        name = f"{self._topic}-{moment:%Y%m%dT%H%M%S}{self._born % 1000:03}Z.jsonl"
        self._take_over(self._folder / name, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL)
        sync_directory(self._folder)

    def _take_over(self, file: Path, flags: int) -> None:
        descriptor = os.open(file, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise SinkError(f"another feeder writes to {file}: give each its own file.path") from None
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._file = descriptor, file
        self._size = os.fstat(descriptor).st_size

    def _append(self, payloads: Sequence[bytes]) -> None:
        """Write whole lines and wait until they are on the disk; where that fails, none of them is there."""
        if not self._file.exists():  # somebody has moved it away
            self._begin()
        data = memoryview(b"".join(part for payload in payloads for part in (payload, b"\n")))
        end = self._size + len(data)
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fdatasync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):  # the next session takes out half a line
                self._cut(self._size)
            raise
        self._size = end

    def _cut(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        os.fsync(self._descriptor)
        self._size = size

    def _over(self) -> bool:
        config = self._config
        if not self._size:
            return False
        age = time.time() - self._born / 1000
        return self._size >= config.rotate_mb * _MB or 0 < config.rotate_minutes * 60 <= age

    # --- those before it ------------------------------------------------------------------------

    def _check_packing(self, packing: asyncio.Task[None]) -> None:
        error = packing.exception()
        if error is not None:
            if not isinstance(error, OSError):
                raise error
            self.note("warning", f"{self.name}: not compressed: {describe_error(error, self._folder)}")
            self._pack_at = min(self._pack_at, time.monotonic() + _AGAIN_SECONDS)

    def _pack(self) -> None:
        """Compress the files that are over, delete those beyond ``keep``."""
        suffix = _SUFFIXES[self._config.compression]
        for file in plain_files(self._folder, self._topic)[:-1]:
            if suffix and not self._compress(file, file.with_name(file.name + suffix)):
                return
        if self._config.keep:
            for file in files(self._folder, self._topic)[: -self._config.keep - 1]:
                file.unlink()
                self.count(event_name(self.name, "files deleted"), 1)

    def _compress(self, file: Path, target: Path) -> bool:
        """Whether it was done; False where the feeder ends."""
        half = target.with_name(target.name + ".part")
        try:
            with file.open("rb") as plain, half.open("wb") as out:
                os.fchmod(out.fileno(), stat.S_IMODE(os.fstat(plain.fileno()).st_mode))
                packed = _PACKED[self._config.compression](out)
                while chunk := plain.read(_CHUNK):
                    if self.ending:
                        half.unlink()
                        return False
                    packed.write(chunk)
                packed.close()
                out.flush()
                os.fsync(out.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                half.unlink()
            raise
        half.replace(target)
        sync_directory(self._folder)
        file.unlink()
        return True


def files(folder: Path, topic: str) -> list[Path]:
    """Lists the files of a topic; one that is being compressed is there twice.

    Args:
        folder: the folder.
        topic: the topic.

    Returns:
        Paths in order of their creation.
    """
    form = re.compile(rf"{re.escape(topic)}-\d{{8}}T\d{{9}}Z\.jsonl(\.gz|\.zst)?")
    return sorted(file for file in folder.glob(f"{topic}-*") if form.fullmatch(file.name))


def plain_files(folder: Path, topic: str) -> list[Path]:
    """Lists the files of a topic that are not compressed.

    Args:
        folder: the folder.
        topic: the topic.

    Returns:
        Paths in order of their creation; the last is the one written to.
    """
    return [file for file in files(folder, topic) if file.suffix == ".jsonl"]


def _born(file: Path) -> int:
    stamp = file.name.partition(".")[0].rpartition("-")[2]
    moment = datetime.strptime(stamp[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1000 + int(stamp[15:18])


def _whole_lines(descriptor: int, size: int) -> int:
    """Bytes up to the end of the last whole line."""
    end = size
    while end > 0:
        start = max(0, end - _CHUNK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def check_files(config: File, topics: Sequence[str]) -> list[str]:
    """Checks the folder of the files. Nothing is changed.

    Args:
        config: the configuration of files.
        topics: the topics that are written.

    Returns:
        What there is and what would be created, lines for people.

    Raises:
        SinkError: the files cannot be written, with the reason.
    """
    folder = config.path
    _check_owner(folder)
    there = folder
    try:
        while not there.exists():
            there = there.parent
    except OSError as error:  # below a folder that cannot be entered
        raise SinkError(describe_error(error, folder)) from error
    if not there.is_dir():
        raise SinkError(describe_error(NotADirectoryError(errno.ENOTDIR, "Not a directory"), there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise SinkError(describe_error(PermissionError(errno.EACCES, "Permission denied"), there))
    free = shutil.disk_usage(there).free / _MB
    lines = [f"folder: {folder}" + ("" if folder.exists() else ", would be created"), f"free: {free:,.0f} MB"]
    for topic in topics:
        found = files(folder, topic)
        size = sum(file.stat().st_size for file in found) / _MB
        lines.append(f"{topic}: {len(found)} files, {size:,.1f} MB")
    return lines


def _check_owner(folder: Path) -> None:
    try:
        check_owner(folder)
    except FolderError as error:
        raise SinkError(f"{error}, with file.path") from error


def describe_error(error: OSError, folder: Path) -> str:
    """Describes an error of the disk for people.

    Args:
        error: the exception.
        folder: the folder of the files.

    Returns:
        A sentence.
    """
    if error.errno in _NO_ROOM:
        return f"the disk of {folder} has no room: messages wait until it has"
    return f"{error.filename or folder}: {error.strerror or error}"
