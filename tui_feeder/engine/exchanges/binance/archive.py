"""The public archive: zips of candles by month and day, each with the SHA256 of the zip beside it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import struct
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import aiohttp
from isal import isal_zlib

from tui_feeder.engine.core.archive_file import File
from tui_feeder.engine.core.proxy import Proxies, failures, reason_of, session
from tui_feeder.engine.exchanges.base import ArchiveError, ArchiveRows
from tui_feeder.engine.exchanges.binance import kline_csv
from tui_feeder.engine.exchanges.binance.archive_layout import archive_path
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.safe_text import printable

MAX_ZIP = 32 << 20
MAX_UNPACKED = 64 << 20
_TRIES = 3
#: Characters of a header or checksum that are kept.
_KEPT = 200
#: A download that trickles would hold its slot for ever: it may take so many times the patience with one
#: that stands still. With 10 s that is 8 KB/s for a month of the busiest symbol.
_WHOLE_TIMEOUTS = 30


@dataclass(frozen=True, slots=True)
class _Body:
    content: bytes
    etag: str
    last_modified: str


class ArchiveClient:
    """Downloads, checks and parses archives.

    Args:
        base_url: such as ``https://data.binance.vision``.
        workers: threads that hash, inflate and parse.
        concurrency: downloads under way at once; a semaphore where those of other clients count too.
        timeout: seconds a download may stand still.
        proxies: on the way there; those of the environment where none are given.
        market: whose files these are.

    Raises:
        ProxyError: the proxy cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        workers: ThreadPoolExecutor,
        *,
        concurrency: int | asyncio.Semaphore = 4,
        timeout: float = 10.0,
        proxies: Proxies | None = None,
        market: Market = USDM,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._proxy = (proxies or Proxies()).of(self.base_url)
        self._market = market
        self.files = 0
        self.bytes = 0
        self.refused = 0
        self._workers = workers
        self._slots = asyncio.Semaphore(concurrency) if isinstance(concurrency, int) else concurrency
        whole = timeout * _WHOLE_TIMEOUTS
        self._timeout = aiohttp.ClientTimeout(total=whole, sock_connect=timeout, sock_read=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(
        self,
        file: File,
        symbol: str,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> ArchiveRows:
        """The rows of one archive, hashed before parsing.

        A hash that differs is tried once more (files are replaced without notice), then refused.

        Args:
            file: which.
            symbol: whose.
            on_bytes: called with the size of each part that arrives, bytes.

        Returns:
            Its rows, and what it was.

        Raises:
            ArchiveError: not there, damaged, too large, or its SHA256 differs.
        """
        loop = asyncio.get_running_loop()
        path = archive_path(self._market.archive_folder, file, symbol)
        name = path.rpartition("/")[2]
        async with self._slots:
            for attempt in (1, 2):
                stated = await self._download(path + ".CHECKSUM", 4096)
                zipped = await self._download(path, MAX_ZIP, on_bytes)
                if zipped is None:
                    raise ArchiveError(f"{name} is not there", missing=True)
                wanted = _digest_of(stated.content if stated else b"")
                try:
                    parsed, digest = await loop.run_in_executor(
                        self._workers, unpack, zipped.content, wanted, self._market.may_end_early
                    )
                except ArchiveError as error:
                    self.refused += 1
                    if attempt == 2:
                        raise ArchiveError(f"{name}: {error}") from error
                    continue
                self.files += 1
                note = "" if wanted else f"{name} has no checksum: usable, not certified"
                return ArchiveRows(
                    path, parsed.rows, parsed.refused, wanted is not None, digest,
                    zipped.etag[:_KEPT], len(zipped.content), note,
                    _line_of(stated), zipped.last_modified[:_KEPT],
                )  # fmt: skip
        raise AssertionError("unreachable")

    async def _download(
        self, path: str, bound: int, on_bytes: Callable[[int], None] = lambda _: None
    ) -> _Body | None:
        """The body of ``path``, None for 404 and 403; tried again when the connection breaks."""
        if self._session is None:
            self._session = session(self._proxy, self._timeout)
        name = path.rpartition("/")[2]
        for attempt in range(1, _TRIES + 1):
            body = bytearray()
            try:
                async with self._session.get(self.base_url + path) as answer:
                    if answer.status in (403, 404):
                        return None
                    if answer.status != 200:
                        raise aiohttp.ClientError(f"status {answer.status}")
                    async for chunk in answer.content.iter_chunked(64 * 1024):
                        body += chunk
                        on_bytes(len(chunk))
                        self.bytes += len(chunk)
                        if len(body) > bound:
                            raise ArchiveError(f"{name} is larger than {bound >> 10} KiB")
                stated = answer.headers.get
                return _Body(bytes(body), stated("ETag", ""), stated("Last-Modified", ""))
            except aiohttp.ServerTimeoutError as error:  # it stood still
                if attempt == _TRIES:
                    why = reason_of(TimeoutError("no answer in time"), self._proxy)
                    raise ArchiveError(f"{name}{why}, {_TRIES} tries") from error
                await asyncio.sleep(0.2 * 2**attempt)
            except TimeoutError as error:
                raise ArchiveError(f"{name}: not read within {self._timeout.total:g} s") from error
            except failures() as error:
                if attempt == _TRIES:
                    raise ArchiveError(f"{name}{reason_of(error, self._proxy)}, {_TRIES} tries") from error
                await asyncio.sleep(0.2 * 2**attempt)
        return None


def _line_of(checksum: _Body | None) -> str:
    """What a ``.CHECKSUM`` states, as far as it is text."""
    return printable(checksum.content[:_KEPT].decode(errors="replace").rstrip("\r\n")) if checksum else ""


def _digest_of(checksum: bytes) -> str | None:
    """The SHA256 a ``.CHECKSUM`` states: its first token, if that is one."""
    token = checksum.split(maxsplit=1)[:1]
    text = token[0].decode("ascii", "replace").lower() if token else ""
    return text if len(text) == 64 and all(c in "0123456789abcdef" for c in text) else None


def unpack(zipped: bytes, wanted: str | None, may_end_early: bool = False) -> tuple[kline_csv.Parsed, str]:
    """Hash, inflate and parse a zip. Runs in a worker thread.

    Args:
        zipped: the file.
        wanted: the SHA256 it has to have, hexadecimal; None if none is stated.
        may_end_early: whether a candle may end before its interval is over.

    Returns:
        Its candles in order with the lines set aside, and its SHA256.

    Raises:
        ArchiveError: the hash differs, or it is not a zip with one CSV of a sane size.
    """
    digest = hashlib.sha256(zipped).hexdigest()
    if wanted not in (None, digest):
        raise ArchiveError("its SHA256 is not the one stated")
    try:
        with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
            members = archive.infolist()
        if len(members) != 1:
            raise ArchiveError(f"it has {len(members)} members, not one")
        # Nothing is ever unpacked to disk, so a name like ../x can do no harm; refuse it anyway.
        if "/" in members[0].filename or "\\" in members[0].filename:
            raise ArchiveError("its member has a path in its name")
        rows, refused = kline_csv.parse(_inflate(zipped, members[0]), may_end_early=may_end_early)
        return kline_csv.Parsed(kline_csv.in_order(rows), refused), digest
    # The stub of isal declares its exception as an instance.
    except (zipfile.BadZipFile, isal_zlib.IsalError, struct.error, OSError, EOFError) as error:  # type: ignore[misc]
        raise ArchiveError(f"it is not a readable zip: {error}") from error
    except kline_csv.CsvError as error:
        raise ArchiveError(str(error)) from error


def _inflate(zipped: bytes, member: zipfile.ZipInfo) -> bytes:
    """The text of a member, its CRC checked. ISA-L inflates three times as fast as zlib.

    Raises:
        ArchiveError: it is encrypted, packed in another way, too large, or its CRC differs.
    """
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError("its member is encrypted or packed in an unknown way")
    name, extra = struct.unpack_from("<HH", zipped, member.header_offset + 26)
    start = member.header_offset + 30 + name + extra
    packed = zipped[start : start + member.compress_size]
    if member.compress_type == zipfile.ZIP_DEFLATED:
        # The size a zip states is not to be trusted: the bound holds for what comes out.
        text = isal_zlib.decompressobj(-15).decompress(packed, MAX_UNPACKED + 1)
    else:
        text = packed
    if len(text) > MAX_UNPACKED:
        raise ArchiveError(f"it unpacks to more than {MAX_UNPACKED >> 20} MiB")
    if isal_zlib.crc32(text) != member.CRC:
        raise ArchiveError("its CRC is not the one stated")
    return text
