"""Everything at once at full size: what it costs, whether memory grows, and how late messages are.

``python -m benchmarks.full_size [--minutes 30] [--symbols 600] [--days 3] [--json] [--check]``; needs Java,
Maven, PostgreSQL's server programs and tmux. An embedded exchange at the speed of a market, a real Kafka
and a real PostgreSQL, and a feeder of 600 symbols as a user starts it: with outbox, mirror, gateway, HTTP,
and the trades of 20 symbols. Ten clients of the gateway listen to 50 streams each and poll candles; a screen
of 120x40 is attached in tmux; ``/metrics`` is scraped every 15 s.

A message is late from the moment at which the exchange made its closing frame until a consumer that is
beside the others on this machine has it from Kafka: more than the broker's acknowledgement takes, and the
exchange's own sending is in it. Memory is anonymous, of feeder and gateway; its slope is that of means of a
minute, after a third of the time, with its standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import aiohttp
import numpy as np
from confluent_kafka import Consumer

from benchmarks._report import Figure, percentile, show
from benchmarks._watching import ROOT, Pane, children, cpu, environment, free_port
from benchmarks._wire import Wire
from benchmarks.attach import quantile, samples
from tui_feeder.engine.core.candle import MINUTE_MS

sys.path.insert(0, str(ROOT / "tests" / "support" / "brokers"))

from services import Kafka, Postgres, Unavailable

_CLIENTS, _STREAMS, _TRADED = 10, 50, 20
_POLL_SECONDS, _SCRAPE_SECONDS, _SAMPLE_SECONDS = 2.0, 15.0, 5.0
#: Of the time after the start, so much is warming up.
_WARM = 1 / 3


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class _Topic:
    """Reads what is published, and when it came."""

    def __init__(self, servers: str, topic: str) -> None:
        self.came: dict[tuple[str, int], float] = {}  # by symbol and end of the minute (ms): time of day, s
        self.twice = 0
        settings = {"bootstrap.servers": servers, "group.id": "bench", "auto.offset.reset": "latest"}
        self._consumer = Consumer(
            {**settings, "fetch.wait.max.ms": 5, "topic.metadata.refresh.interval.ms": 1_000}
        )
        self._consumer.subscribe([topic])
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        while not self._ended.is_set():
            for record in self._consumer.consume(500, timeout=0.2):
                if record.error() is not None:
                    continue
                now = time.time()
                key, (_, moment) = (record.key() or b"").decode(), record.timestamp()
                place = (key, moment // MINUTE_MS * MINUTE_MS + MINUTE_MS)
                self.twice += place in self.came
                self.came.setdefault(place, now)


class _Sample:
    """What a feeder and its gateway take at one moment."""

    def __init__(self, pids: list[int], store: Path) -> None:
        self.at = time.monotonic()
        self.cpu = [cpu(pid) for pid in pids]
        self.memory = sum(map(_anonymous_mb, pids))
        self.descriptors = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        self.stored = sum(path.stat().st_blocks * 512 for path in store.iterdir() if path.is_file())


def _anonymous_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon")) / 1024


def _slope(samples: list[_Sample]) -> tuple[float, float]:
    """Growth of memory and its standard error, MB an hour, by least squares over means of a minute."""
    minutes: dict[int, list[_Sample]] = {}
    for sample in samples:
        minutes.setdefault(int(sample.at // 60), []).append(sample)
    x = np.array([fmean(one.at for one in many) for many in minutes.values()]) / 3_600
    y = np.array([fmean(one.memory for one in many) for many in minutes.values()])
    x -= x.mean()
    slope = float((x * y).sum() / (x * x).sum())
    rest = y - y.mean() - slope * x
    return slope, float(np.sqrt((rest * rest).sum() / (len(x) - 2) / (x * x).sum()))


async def _client(url: str, names: list[str], frames: list[int]) -> None:
    """Listens to streams and polls candles, for ever."""
    streams = "/".join(f"{name.lower()}@kline_1m" for name in names)

    async def listen(session: aiohttp.ClientSession) -> None:
        address = f"{url.replace('http', 'ws')}/stream?streams={streams}"
        async with session.ws_connect(address, max_msg_size=1 << 20) as socket:
            async for _ in socket:
                frames[0] += 1

    async def poll(session: aiohttp.ClientSession) -> None:
        n = 0
        while True:
            path = f"{url}/fapi/v1/klines?interval=1m&limit=500&symbol={names[n % len(names)]}"
            async with session.get(path) as answer:
                await answer.read()
            n += 1
            await asyncio.sleep(_POLL_SECONDS)

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        group.create_task(listen(session))
        group.create_task(poll(session))


class _Feeder:
    """A feeder as a user starts it, with everything."""

    def __init__(
        self, folder: Path, names: list[str], days: int, urls: list[str], broker: Kafka, mirror: Postgres
    ) -> None:
        self.folder = folder
        self.names = names
        self.socket, self.store = folder / "feeder.sock", folder / "store"
        self.port, self.gateway = free_port(), free_port()
        (folder / "config.toml").write_text(
            f'[application]\nsymbols = {json.dumps(names)}\nstorage_path = "{self.store}"\n'
            f"health_server_port = {self.port}\n[technical_analysis]\nmin_history_days = {days}\n"
            f"[volume_profile]\nhistorical_days = {days}\n"
            f'[exchange]\nrest_url = "{urls[0]}"\nstream_url = "{urls[1]}"\narchive_url = "{urls[2]}"\n'
            f'[kafka]\nenabled = true\nbootstrap_servers = ["{broker.servers}"]\n'
            f'[database]\nenabled = true\nhost = "127.0.0.1"\nport = {mirror.port}\n'
            f'database = "{mirror.database}"\nusername = "{mirror.user}"\npassword = "{mirror.password}"\n'
            f"[trades]\nsymbols = {json.dumps(names[:_TRADED])}\ndays = 1\n"
            f'[service]\nsocket = "{self.socket}"\n[gateway]\nenabled = true\nport = {self.gateway}\n'
        )
        with (folder / "feeder.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tui_feeder", "-c", str(folder / "config.toml"), "--no-ui"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                env=environment(XDG_STATE_HOME=str(folder)),
            )  # fmt: skip

    @property
    def pids(self) -> list[int]:
        return [self._process.pid, *children(self._process.pid)]

    async def until_live(self) -> None:
        """Until every symbol is live; archives of trades may be read on."""
        last, deadline = "", time.monotonic() + 3_600
        async with aiohttp.ClientSession() as session:
            while True:
                assert self._process.poll() is None, (self.folder / "feeder.log").read_text()[-2_000:]
                assert time.monotonic() < deadline, "the feeder is not live after an hour"
                with contextlib.suppress(aiohttp.ClientError):
                    live = samples(await self.metrics(session), "feeder_symbols").get("live", 0.0)
                    if last != (last := f"{live:g} of {len(self.names)} symbols are live"):
                        _say(last)
                    if live == len(self.names):
                        return
                await asyncio.sleep(2)

    async def metrics(self, session: aiohttp.ClientSession) -> str:
        async with session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            return await answer.text()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(60)


async def _watched(feeder: _Feeder, seconds: float) -> tuple[list[_Sample], list[str], int]:
    """Samples, what was scraped, and frames that clients of the gateway got."""
    frames = [0]
    url, names = f"http://127.0.0.1:{feeder.gateway}", feeder.names
    found: list[_Sample] = []
    scraped: list[str] = []
    clients = []
    for n in range(_CLIENTS):
        chosen = [names[(n * _STREAMS + k) % len(names)] for k in range(min(_STREAMS, len(names)))]
        clients.append(asyncio.create_task(_client(url, chosen, frames)))
    async with aiohttp.ClientSession() as session:
        end = time.monotonic() + seconds
        due = 0.0
        while time.monotonic() < end:
            for client in clients:
                if client.done():
                    client.result()
            found.append(_Sample(feeder.pids, feeder.store))
            if time.monotonic() >= due:
                due = time.monotonic() + _SCRAPE_SECONDS
                scraped.append(await feeder.metrics(session))
            await asyncio.sleep(_SAMPLE_SECONDS)
        scraped.append(await feeder.metrics(session))
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return found, scraped, frames[0]


def _figures(
    feeder: _Feeder,
    found: list[_Sample],
    scraped: list[str],
    frames: int,
    topic: _Topic,
    closes: Path,
    began: float,
) -> list[Figure]:
    steady = [sample for sample in found if sample.at >= found[0].at + _WARM * (found[-1].at - found[0].at)]
    seconds = steady[-1].at - steady[0].at
    used = [(after - before) / seconds for before, after in zip(steady[0].cpu, steady[-1].cpu, strict=True)]
    slope, error = _slope(steady)
    late: list[float] = []
    missing = 0
    last = max(topic.came.values(), default=0.0)
    for line in closes.read_text().splitlines():
        symbol, minute_end, sent = line.split(" ")
        if began <= float(sent) < last - 30:
            came = topic.came.get((symbol, int(minute_end)))
            missing += came is None
            if came is not None:
                late.append((came - float(sent)) * 1_000)
    lags = [
        {float(le): n for le, n in samples(text, "feeder_loop_lag_seconds_bucket").items()}
        for text in (scraped[int(len(scraped) * _WARM)], scraped[-1])
    ]
    minutes = seconds / 60 * len(feeder.names)
    return [
        Figure("CPU of one core, feeder and gateway", sum(used) * 100, "%", at_most=60),
        Figure("of that the gateway", sum(used[1:]) * 100, "%"),
        Figure("anonymous memory, mean", fmean(sample.memory for sample in steady), "MB"),
        Figure("its slope", slope, "MB/h"),
        Figure("standard error of the slope", error, "MB/h"),
        Figure("slope / its standard error", slope / error, "", at_most=2),
        Figure("descriptors, first", steady[0].descriptors, ""),
        Figure("descriptors, last", steady[-1].descriptors, ""),
        Figure("store, growth a stored minute", (steady[-1].stored - steady[0].stored) / minutes, "B"),
        Figure("closing frames", len(late) + missing, "frames"),
        Figure("closing frame to message read from Kafka, p50", percentile(late, 0.5), "ms"),
        Figure("closing frame to message read from Kafka, p99", percentile(late, 0.99), "ms", at_most=150),
        Figure("closing frame to message read from Kafka, p99.9", percentile(late, 0.999), "ms"),
        Figure("closing frames without a message", missing, "frames", at_most=0),
        Figure("messages that came twice", topic.twice, "messages"),
        Figure("engine's loop, p99 of its lag", quantile(lags[0], lags[1], 0.99), "ms"),
        Figure("engine's loop, p99.9 of its lag", quantile(lags[0], lags[1], 0.999), "ms"),
        Figure("frames to clients of the gateway", frames / (found[-1].at - found[0].at), "1/s"),
    ]


@contextlib.contextmanager
def _exchange(names: list[str], closes: Path) -> Iterator[list[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks._full_size_exchange", ",".join(names), str(closes)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def measure(given: argparse.Namespace) -> list[Figure]:
    """Run everything, and measure."""
    names = [f"C{n:03}USDT" for n in range(given.symbols)]
    with tempfile.TemporaryDirectory(prefix="feeder-bench-") as home, contextlib.ExitStack() as stack:
        folder = Path(home)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        broker, mirror = Kafka(folder / "kafka"), Postgres(folder / "postgres")
        for service in (broker, mirror):
            service.start()
            stack.callback(service.kill)
        own = folder / "feeder"
        own.mkdir(0o700)
        closes = own / "closes"
        urls = stack.enter_context(_exchange(names, closes))
        feeder = _Feeder(own, names, given.days, urls, broker, mirror)
        stack.callback(feeder.close)
        asyncio.run(feeder.until_live())
        topic = _Topic(broker.servers, "ta_data")
        stack.callback(topic.close)
        wire = Wire(own / "wire.sock", feeder.socket)
        stack.callback(wire.close)
        pane = Pane(wire, own)
        stack.callback(pane.close)
        pane.wait_for("LIVE")
        _say(f"all is live; {given.minutes:g} minutes are watched")
        began = time.time() + 20  # the consumer has its partitions by then
        found, scraped, frames = asyncio.run(_watched(feeder, given.minutes * 60))
        return _figures(feeder, found, scraped, frames, topic, closes, began)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.full_size")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long it is watched, at least 9")
    parser.add_argument("--symbols", type=int, default=600)
    parser.add_argument("--days", type=int, default=3, help="of history that are read first")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 where a bound is missed")
    given = parser.parse_args()
    if given.minutes < 9:
        parser.error("--minutes: a slope needs 9 at least")
    try:
        figures = measure(given)
    except Unavailable as error:
        print(f"it lacks something: {error}", file=sys.stderr)
        sys.exit(2)
    show(figures, as_json=given.json, check=given.check)


if __name__ == "__main__":
    main()
