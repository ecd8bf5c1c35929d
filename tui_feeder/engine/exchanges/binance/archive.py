"""The public archive: zips of candles by month and day, each with the SHA256 of the zip beside it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import aiohttp

from tui_feeder.engine.core.archive_file import File
from tui_feeder.engine.core.proxy import Proxies, failures, reason_of, session
from tui_feeder.engine.core.trades import Trades
from tui_feeder.engine.exchanges.base import ArchiveError, ArchiveRows, TradesFile
from tui_feeder.engine.exchanges.binance import kline_csv
from tui_feeder.engine.exchanges.binance.agg_trades_csv import TradesCsvError, TradesReader
from tui_feeder.engine.exchanges.binance.archive_layout import archive_path, trades_path
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.engine.exchanges.binance.zip_member import UNREADABLE_ZIP, only_member, parts_of, text_of
from tui_feeder.safe_text import printable

MAX_ZIP = 32 << 20
MAX_UNPACKED = 64 << 20
#: A day's trades: the largest of 2021 are some 60 MB.
MAX_TRADES_ZIP = 192 << 20
MAX_TRADES_UNPACKED = 2 << 30
_TRIES = 3
#: Characters of a header or checksum that are kept.
_KEPT = 200
#: A download that trickles would hold its slot for ever: it may take so many times the patience with one
#: that stands still. With 10 s that is 8 KB/s for a month of the busiest symbol.
_WHOLE_TIMEOUTS = 30

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Body:
    content: bytes
    etag: str
    last_modified: str


@dataclass(frozen=True, slots=True)
class _Checked(Generic[_T]):
    """A zip that was read."""

    what: _T  # what it holds
    zipped: _Body
    checked: bool  # its checksum agreed
    line: str  # of its checksum


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
        path = archive_path(self._market.archive_folder, file, symbol)
        opened = partial(unpack, may_end_early=self._market.may_end_early)
        file_read = await self._checked(path, MAX_ZIP, on_bytes, opened, tries=2)
        (parsed, digest), zipped, checked = file_read.what, file_read.zipped, file_read.checked
        note = "" if checked else f"{path.rpartition('/')[2]} has no checksum: usable, not certified"
        return ArchiveRows(
            path, parsed.rows, parsed.refused, checked, digest, printable(zipped.etag[:_KEPT]),
            len(zipped.content), note, file_read.line, printable(zipped.last_modified[:_KEPT]),
        )  # fmt: skip

    async def fetch_trades(self, day: int, symbol: str, take: Callable[[Trades], None]) -> TradesFile:
        """Hands on the aggregated trades of a day, hashed before parsing.

        Args:
            day: midnight UTC, ms.
            symbol: whose.
            take: given the trades in their order, in the thread for computing; what it was given is worth
                nothing after an error.

        Returns:
            What the file was.

        Raises:
            ArchiveError: not there, damaged, too large, or its SHA256 differs.
        """
        columns = self._market.trades_columns
        assert columns is not None, "the market has no trades to read"
        path = trades_path(self._market.archive_folder, day, symbol)
        opened = partial(_open_trades, columns=columns, take=take)
        found = await self._checked(path, MAX_TRADES_ZIP, lambda _: None, opened, tries=1)
        digest, refused = found.what
        return TradesFile(path, found.checked, digest, len(found.zipped.content), refused)

    async def _checked(
        self,
        path: str,
        most: int,
        on_bytes: Callable[[int], None],
        opened: Callable[[bytes, str | None], _T],
        *,
        tries: int,
    ) -> _Checked[_T]:
        """What a zip of at most so many bytes holds; where that cannot be read it is downloaded again.

        Raises:
            ArchiveError: it is not there, or cannot be read.
        """
        loop = asyncio.get_running_loop()
        name = path.rpartition("/")[2]
        async with self._slots:
            for attempt in range(1, tries + 1):
                stated = await self._download(path + ".CHECKSUM", 4096)
                zipped = await self._download(path, most, on_bytes)
                if zipped is None:
                    raise ArchiveError(f"{name} is not there", missing=True)
                wanted = _digest_of(stated.content if stated else b"")
                try:
                    what = await loop.run_in_executor(self._workers, opened, zipped.content, wanted)
                except ArchiveError as error:
                    self.refused += 1
                    if attempt == tries:
                        raise ArchiveError(f"{name}: {error}") from error
                    continue
                self.files += 1
                return _Checked(what, zipped, wanted is not None, _line_of(stated))
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
    digest = _hashed(zipped, wanted)
    try:
        text = text_of(zipped, only_member(zipped), MAX_UNPACKED)
        rows, refused = kline_csv.parse(text, may_end_early=may_end_early)
        return kline_csv.Parsed(kline_csv.in_order(rows), refused), digest
    except UNREADABLE_ZIP as error:  # type: ignore[misc]  # isal's stub declares an instance
        raise ArchiveError(f"it is not a readable zip: {error}") from error
    except kline_csv.CsvError as error:
        raise ArchiveError(str(error)) from error


def _open_trades(
    zipped: bytes, wanted: str | None, columns: int, take: Callable[[Trades], None]
) -> tuple[str, int]:
    """Hash, inflate and parse a zip of trades: its SHA256, and how many lines are none. In a worker thread.

    Raises:
        ArchiveError: the hash differs, or it is not a zip with one CSV of trades of a sane size.
    """
    digest = _hashed(zipped, wanted)
    reader = TradesReader(columns)
    try:
        for trades in reader.read(parts_of(zipped, only_member(zipped), MAX_TRADES_UNPACKED)):
            take(trades)
    except UNREADABLE_ZIP as error:  # type: ignore[misc]  # isal's stub declares an instance
        raise ArchiveError(f"it is not a readable zip: {error}") from error
    except TradesCsvError as error:
        raise ArchiveError(str(error)) from error
    return digest, reader.refused


def _hashed(zipped: bytes, wanted: str | None) -> str:
    digest = hashlib.sha256(zipped).hexdigest()
    if wanted not in (None, digest):
        raise ArchiveError("its SHA256 is not the one stated")
    return digest
