"""A judge that shares no code with the engine: hours of lies, kills and repairs, then every value compared.

``python -m benchmarks.judge [--minutes 120] [--speed 30] [--seed 1] [--kafka HOST:PORT]
[--postgres HOST:PORT:USER:PASSWORD] [--folder DIR]``. Exit 1 where anything differs.

A feeder, as a process, reads the embedded exchange through a relay (:mod:`benchmarks._judge_relay`). Its runs
end in kills and stops; between and during them a day block of its store is damaged, its numbers are thrown
away, wrong REST rows are repaired by ``verify --repair``, closes come too early or contradict each other,
Kafka is unreachable, then disabled for a run, tables are dropped, truncated and stripped of their index.

Then what was published, line by line and record by record, and what the tables hold is compared with values
computed from the exchange's own candles (:mod:`benchmarks._judge_truth`): nothing missing, order kept,
revisions without holes, the last revision right in every value, every row of every table equal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lmdb

from benchmarks._judge_relay import Relay
from benchmarks._judge_truth import DAY, FRAMES, MINUTE, Truth, get

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "1000PEPEUSDT", "XRPUSDT", "DOGEUSDT")
_DAYS = 3
_START = "2026-03-10T22:00:00Z"  # two hours later it is midnight: a day ends on the way
_PACE_SECONDS = 240  # longest real wait for something that must come


@dataclass
class Record:
    """One published message as it arrived."""

    symbol: str
    timestamp: int
    revision: int
    text: bytes


@dataclass
class Findings:
    """What is wrong, counted by kind, with the first few of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        if len(self.examples[kind]) < 4:
            self.examples[kind].append(text)


class Feeder:
    """``feeder-tui --no-ui`` and its other commands on one store."""

    def __init__(self, folder: Path, config: str) -> None:
        self.folder = folder
        self.store = folder / "store"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").write_text(config)
        self._base = [sys.executable, "-m", "tui_feeder"]
        self._given = ["--config", str(folder / "config.toml"), "--storage", str(self.store)]
        self.log = folder / "feeder.log"
        self._process: asyncio.subprocess.Process | None = None

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FEEDER_")}
        return kept | {"XDG_STATE_HOME": str(self.folder / "state")} | more

    async def start(self, **more: str) -> None:
        """Start it; ``more`` are variables such as ``FEEDER_KAFKA__ENABLED``."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._base, "--no-ui", *self._given, stdout=log, stderr=log, env=self._environment(more)
            )

    async def end(self, number: signal.Signals) -> int:
        """Signal it and wait for its end; its exit code."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        async with asyncio.timeout(_PACE_SECONDS):
            return await self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run another command on the store; exit code and all it printed."""
        process = await asyncio.create_subprocess_exec(
            *self._base, *arguments, *self._given,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=self._environment({}),
        )  # fmt: skip
        printed, _ = await process.communicate()
        return process.returncode or 0, printed.decode()


class Judge:
    """One run of everything."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.dice = random.Random(given.seed)
        self.found = Findings()
        self.kills = self.stops = 0
        self.unpublished_to_kafka: list[tuple[int, int]] = []  # spans of minutes of runs without it, ms

    def say(self, text: str) -> None:
        print(text, flush=True)

    async def run(self) -> Findings:
        """The exchange, the relay, the runs, and the comparison."""
        exchange = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tui_feeder", "simulate", "--symbols", ",".join(SYMBOLS), "--start", _START,
            "--speed", str(self.given.speed),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            urls = await _urls(exchange)
            assert exchange.stdout is not None
            self._emptying = asyncio.create_task(_empty(exchange.stdout))
            self.rest = urls["rest_url"]
            async with Relay(self.rest, urls["stream_url"]) as self.relay:
                self.feeder = Feeder(self.folder, self._config(urls))
                await self._all_runs()
                self.say("comparing ...")
                await self._compare()
        finally:
            exchange.terminate()
            await exchange.wait()
        return self.found

    def _config(self, urls: dict[str, str]) -> str:
        given = self.given
        lines = [
            "[application]", f"symbols = {json.dumps(SYMBOLS)}", "health_server_port = 0",
            "[technical_analysis]", f"min_history_days = {_DAYS}",
            "[exchange]", f'rest_url = "http://127.0.0.1:{self.relay.port}"',
            f'stream_url = "ws://127.0.0.1:{self.relay.port}"', f'archive_url = "{urls["archive_url"]}"',
            f"clock_rate = {given.speed}",
            "[service]", 'socket = "off"',
            "[file]", "enabled = true", f"path = {json.dumps(str(self.folder / 'messages'))}",
        ]  # fmt: skip
        if given.kafka:
            lines += ["[kafka]", "enabled = true", f'bootstrap_servers = ["{given.kafka}"]']
        if given.postgres:
            host, port, user, password = given.postgres.split(":")
            lines += [
                "[database]", "enabled = true", f'host = "{host}"', f"port = {port}",
                f'username = "{user}"', f'password = "{password}"', "batch_timeout_seconds = 0.2",
            ]  # fmt: skip
        return "\n".join(lines) + "\n"

    # --- the runs --------------------------------------------------------------------------------

    async def now(self) -> int:
        """Exchange time, ms."""
        answer = await asyncio.to_thread(get, f"{self.rest}/fapi/v1/time")
        return int(answer["serverTime"])

    async def _pass(self, minutes: float) -> None:
        await asyncio.sleep(minutes * 60 / self.given.speed)

    async def _all_runs(self) -> None:
        """Special runs first, each with its damage, then runs of random length until the time is over."""
        self.begin = await self.now()
        today = self.begin // DAY * DAY
        self.history = today - _DAYS * DAY
        end = self.begin + self.given.minutes * MINUTE
        self.relay.wrong = {"ETHUSDT": (today + 60 * MINUTE, today + 300 * MINUTE)}
        await self._run("wrong REST rows at first", 10, kill=False)
        self.relay.wrong = {}
        code, text = await self.feeder.command("verify", "--repair")
        self.say(f"verify --repair: exit {code}: {text.strip().splitlines()[-1:]}")
        await self._run("after the repair", 6, kill=True)
        damaged = self._damage_day()
        await self._run(f"{damaged} damaged, numbers made anew", 8, kill=True)
        self.relay.contradicted = {"SOLUSDT"}
        self.relay.premature = {"XRPUSDT"}
        await self._run("closes that come early or contradict", 10, kill=True)
        self.relay.contradicted, self.relay.premature = set(), set()
        if self.given.kafka:
            await self._run("Kafka unreachable", 6, kill=True, FEEDER_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:9")
            since = await self.now()
            await self._run("Kafka disabled", 6, kill=False, FEEDER_KAFKA__ENABLED="false")
            self.unpublished_to_kafka.append((since - 3 * MINUTE, await self.now()))
        if self.given.postgres:
            await self._run(
                "table truncated meanwhile", 8, kill=True, during=self._sql("TRUNCATE candles_1m")
            )
            await self._sql("DROP INDEX candles_1m_time_symbol_time_frame")()
            await self._run("index dropped", 5, kill=True)
            await self._sql("DROP TABLE candles_1m, volume_profiles")()
            await self._run("tables dropped", 5, kill=True)
            tables = await self._sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")()
            await self._sql("DROP TABLE " + ", ".join(row[0] for row in tables))()
            await self._run("all tables dropped", 5, kill=False)
        await self._run("link cut meanwhile", 8, kill=True, during=self._cut)
        while await self.now() < end:
            await self._run("at random", self.dice.uniform(1.5, 9), kill=self.dice.random() < 0.8)
        await self._last_run()

    async def _run(
        self, what: str, minutes: float, *, kill: bool, during: Callable[[], Awaitable[Any]] | None = None,
        **environment: str,
    ) -> None:  # fmt: skip
        began = await self.now()
        await self.feeder.start(**environment)
        await self._pass(minutes / 2)
        if during is not None:
            await during()
        await self._pass(minutes / 2)
        if not self.feeder.alive:
            self.found.add("ended by itself", f"{what}: see {self.feeder.log}")
        await self.feeder.end(signal.SIGKILL if kill else signal.SIGTERM)
        self.kills += kill
        self.stops += not kill
        hour = (await self.now() - self.begin) / MINUTE
        self.say(f"minute {hour:6.1f}: {what}, {(await self.now() - began) / MINUTE:.1f} minutes, "
                 f"{'killed' if kill else 'stopped'}")  # fmt: skip

    async def _last_run(self) -> None:
        """Run until every symbol publishes the newest minute again and a while has passed, then stop."""
        await self.feeder.start()
        deadline = time.monotonic() + _PACE_SECONDS
        while time.monotonic() < deadline:
            await self._pass(2)
            newest = {record.symbol: record.timestamp for record in self._lines(tail=4_000)}
            now = await self.now()
            if len(newest) == len(SYMBOLS) and min(newest.values()) > now - 3 * MINUTE:
                break
        else:
            self.found.add("not live again", f"newest minutes: {newest}")
        await self._pass(self.given.settle)
        await self.feeder.end(signal.SIGTERM)
        self.stops += 1

    async def _cut(self) -> None:
        await self.relay.break_link()
        await self._pass(3)
        self.relay.cut = False

    def _damage_day(self) -> str:
        """Flip a bit in the middle of a stored day block, and drop the numbers kept of all symbols."""
        env = lmdb.open(str(self.feeder.store), max_dbs=32, map_size=1 << 30)
        with env.begin(write=True) as txn:
            days, state = env.open_db(b"days", txn, create=False), env.open_db(b"state", txn, create=False)
            keys = [bytes(key) for key, _ in txn.cursor(days) if bytes(key).startswith(b"DOGEUSDT")]
            key = keys[len(keys) // 2]
            block = bytearray(txn.get(key, db=days) or b"")
            block[len(block) // 2] ^= 4
            txn.put(key, bytes(block), db=days)
            for kept in [bytes(key) for key, _ in txn.cursor(state) if bytes(key).endswith(b"numbers")]:
                txn.delete(kept, db=state)
        env.close()
        return "a day block of DOGEUSDT"

    def _sql(self, text: str) -> Callable[[], Awaitable[Any]]:
        async def run() -> Any:  # noqa: ANN401
            connection = await self._connect()
            try:
                return await connection.fetch(text)
            finally:
                await connection.close()

        return run

    async def _connect(self) -> Any:  # noqa: ANN401
        import asyncpg

        host, port, user, password = self.given.postgres.split(":")
        return await asyncpg.connect(
            host=host, port=int(port), user=user, password=password, database="crypto_data"
        )

    # --- what was published ----------------------------------------------------------------------

    def _lines(self, tail: int = 0) -> Iterable[Record]:
        """The records of the file sink, in the order written; the last ``tail`` if given."""
        lines: list[bytes] = []
        for path in sorted((self.folder / "messages").glob("data-*")):
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
            lines += content.splitlines()
        return [_record(line) for line in lines[-tail:]]

    def _kafka(self) -> list[Record]:
        """Every record of the topic, partition by partition."""
        import confluent_kafka as kafka

        consumer = kafka.Consumer({"bootstrap.servers": self.given.kafka, "group.id": "judge"})
        topic = "ta_data"
        records = []
        for partition in consumer.list_topics(topic, timeout=20).topics[topic].partitions:
            place = kafka.TopicPartition(topic, partition, 0)
            _, high = consumer.get_watermark_offsets(place, 20)
            consumer.assign([place])
            at = 0
            while at < high:
                message = consumer.poll(10)
                if message is None:
                    break
                if message.error() is None:
                    records.append(_record(message.value() or b""))
                    at = (message.offset() or 0) + 1
        consumer.close()
        return records

    # --- the comparison --------------------------------------------------------------------------

    async def _compare(self) -> None:
        lines = list(self._lines())
        end = max(record.timestamp for record in lines) + 1
        truths = {s: await asyncio.to_thread(Truth, self.rest, s, self.history, end) for s in SYMBOLS}
        self._published("file", lines, truths, [])
        if self.given.kafka:
            records = await asyncio.to_thread(self._kafka)
            self._published("Kafka", records, truths, self.unpublished_to_kafka)
        if self.given.postgres:
            await self._tables(truths)
        code, text = await self.feeder.command("verify")
        if code:
            self.found.add("verify", f"exit {code}: {text.strip()[-300:]}")
        code, text = await self.feeder.command("gaps")
        self.say(f"gaps: exit {code}: {text.strip().splitlines()[-1:]}")

    def _published(
        self, where: str, records: list[Record], truths: dict[str, Truth], spared: list[tuple[int, int]]
    ) -> None:
        found = self.found
        seen: dict[str, dict[int, dict[int, bytes]]] = {symbol: defaultdict(dict) for symbol in SYMBOLS}
        newest: dict[str, int] = {}
        again = corrections = 0
        for record in records:
            of = seen[record.symbol][record.timestamp]
            name = f"{where} {record.symbol} {_utc(record.timestamp)} revision {record.revision}"
            if record.revision in of:
                again += 1
                if of[record.revision] != record.text:
                    found.add("another text under the same revision", name)
                continue
            free = any(low <= record.timestamp < high for low, high in spared)
            if record.revision and record.revision - 1 not in of and not free:
                found.add("revision before the one it follows", name)
            if not record.revision:
                if record.timestamp < newest.get(record.symbol, 0) and not free:
                    found.add("minutes out of order", name)
                newest[record.symbol] = max(newest.get(record.symbol, 0), record.timestamp)
            corrections += record.revision > 0
            of[record.revision] = record.text
        for symbol, truth in truths.items():
            stamps = sorted(seen[symbol])
            wanted = range(stamps[0], truth.end, MINUTE)
            for timestamp in wanted:
                free = any(low <= timestamp < high for low, high in spared)
                if timestamp not in seen[symbol]:
                    if not free:
                        found.add("minute never published", f"{where} {symbol} {_utc(timestamp)}")
                elif not free:
                    of = seen[symbol][timestamp]
                    self._message(where, json.loads(of[max(of)]), truth)
            self._quantiles(where, json.loads(max(seen[symbol][stamps[-1]].items())[1]), truth)
        self.say(f"{where}: {len(records)} records, {sum(map(len, seen.values()))} minutes, "
                 f"{corrections} corrections, {again} published again")  # fmt: skip

    def _message(self, where: str, message: dict[str, Any], truth: Truth) -> None:
        name = f"{where} {truth.symbol} {_utc(message['timestamp'])} revision {message['revision']}"
        profile = message.get("volume_profile", {})
        expected = truth.message(message["timestamp"], profile.get("price_increment"))
        rows = expected.pop("volume_profile", None)
        for key, value in expected.items():
            if not _same(message.get(key), value):
                self.found.add(f"wrong {key}", f"{name}: {message.get(key)} instead of {value}")
        if rows is None:
            self.found.add("no profile", name)
            return
        area = profile["value_area"]
        shown = profile | {"high": area["high"], "low": area["low"], "volume": area["volume"]}
        count = rows.pop("rows")
        for key, value in rows.items():
            if not _same(shown.get(key), value):
                self.found.add(f"wrong profile {key}", f"{name}: {shown.get(key)} instead of {value}")
        if profile["candle_count"] > 720 and not 80 <= count <= 450:
            self.found.add("profile rows", f"{name}: {count} rows of {profile['price_increment']}")
        for flag in ("partial", "warming"):
            if message.get(flag):
                self.found.add(f"still {flag}", f"{name}: {message[flag]}")

    def _quantiles(self, where: str, message: dict[str, Any], truth: Truth) -> None:
        shown = message["volume_quantiles"]
        for name, shares in truth.quantiles(message["timestamp"] + 1).items():
            for q, (low, high) in shares.items():
                if not low * 0.995 <= shown[name][q] <= high * 1.005:
                    self.found.add(
                        "wrong quantile",
                        f"{where} {truth.symbol} {name} {q}: {shown[name][q]}, {low} to {high}",
                    )

    async def _tables(self, truths: dict[str, Truth]) -> None:
        connection = await self._connect()
        rows = await connection.fetch(
            "SELECT symbol, time_frame, time, open, high, low, close, volume, trade_count, taker_buy_volume, "
            "quote_volume FROM candles_1m"
        )
        profiles = await connection.fetch("SELECT * FROM volume_profiles")
        await connection.close()
        held = {(r["symbol"], r["time_frame"], round(r["time"].timestamp() * 1000)): r for r in rows}
        if len(held) != len(rows):
            self.found.add("table rows twice", f"{len(rows) - len(held)}")
        wanted = 0
        for symbol, truth in truths.items():
            for minutes, (label, *_) in FRAMES.items():
                bars = truth.frames[minutes]
                for row in bars.rows:
                    at = int(row[0])
                    if at < truth.start or at + minutes * MINUTE > truth.end:
                        continue
                    wanted += 1
                    shown = held.pop((symbol, label, at), None)
                    name = f"{symbol} {label} {_utc(at)}"
                    if shown is None:
                        self.found.add("table lacks a row", name)
                        continue
                    columns = ("open", "high", "low", "close", "volume", "quote_volume", "trade_count",
                               "taker_buy_volume")  # fmt: skip
                    for column, place in zip(columns, (1, 2, 3, 4, 5, 7, 8, 9), strict=True):
                        if not _same(float(shown[column]), float(row[place])):
                            self.found.add(f"table: wrong {column}", f"{name}: {shown[column]}, {row[place]}")
        for key in held:
            self.found.add("table has a row nobody knows", f"{key[0]} {key[1]} {_utc(key[2])}")
        self.say(f"tables: {len(rows)} rows, {wanted} wanted; {len(profiles)} profiles")
        days = {(r["symbol"], r["date"].isoformat()) for r in profiles}
        for symbol, truth in truths.items():
            for day in range(truth.start, truth.end - 1, DAY):
                if day + DAY <= truth.end and (symbol, _utc(day)[:10]) not in days:
                    self.found.add("table lacks a profile", f"{symbol} {_utc(day)[:10]}")
        for r in profiles:
            day = round(datetime.combine(r["date"], datetime.min.time(), UTC).timestamp() * 1000)
            truth = truths[r["symbol"]]
            until = day + r["candle_count"] * MINUTE
            if until > truth.end:
                continue
            expected = truth.profile(until, r["price_increment"])
            shown = {"total_volume": r["total_volume"], "vwap": r["vwap"], "poc": r["poc"],
                    "high": r["value_area_high"], "low": r["value_area_low"],
                    "candle_count": r["candle_count"], "rows": len(r["weights"])}  # fmt: skip
            for key, value in shown.items():
                if not _same(value, expected[key]):
                    name = f"{r['symbol']} {r['date']}"
                    self.found.add(f"table: wrong profile {key}", f"{name}: {value}, not {expected[key]}")
            if until < min(day + DAY, truth.end - 15 * MINUTE):
                self.found.add(
                    "table: profile lags", f"{r['symbol']} {r['date']}: {r['candle_count']} minutes"
                )


async def _urls(exchange: asyncio.subprocess.Process) -> dict[str, str]:
    """The addresses that ``simulate`` prints."""
    assert exchange.stdout is not None
    urls: dict[str, str] = {}
    async with asyncio.timeout(60):
        while len(urls) < 3:
            line = (await exchange.stdout.readline()).decode()
            if not line:
                raise SystemExit("the exchange did not start")
            key, _, value = line.partition(" = ")
            if key in ("rest_url", "stream_url", "archive_url"):
                urls[key] = value.strip().strip('"')
    return urls


async def _empty(lines: asyncio.StreamReader) -> None:
    """Read what the exchange goes on to print, so that it never waits for a reader."""
    while await lines.readline():
        pass


def _record(line: bytes) -> Record:
    message = json.loads(line)
    return Record(message["symbol"], message["timestamp"], message["revision"], line)


def _same(shown: Any, value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, float):
        # An EMA's beginning, up to 922 bars back, is weighed by less than a millionth.
        return isinstance(shown, int | float) and math.isclose(shown, value, rel_tol=1e-7)
    return bool(shown == value)


def _utc(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge")
    parser.add_argument("--minutes", type=float, default=120, help="exchange minutes to run")
    parser.add_argument("--settle", type=float, default=20, help="exchange minutes that the last run is live")
    parser.add_argument("--speed", type=float, default=30, help="exchange seconds in a real one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kafka", help="a real broker, HOST:PORT; its topic ta_data must be new")
    parser.add_argument(
        "--postgres", help="a real server, HOST:PORT:USER:PASSWORD; its database crypto_data must be empty"
    )
    parser.add_argument("--folder", type=Path, help="where store, log and messages stay; it must be empty")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="feeder-judge-") as scratch:
        judge = Judge(given, given.folder or Path(scratch))
        found = asyncio.run(judge.run())
    shown = ", ".join(f"{what} {n}" for what, n in judge.relay.struck.items())
    print(f"{judge.kills} kills, {judge.stops} stops; relay: {shown}")
    for kind, count in found.counts.most_common():
        print(f"{count:>8}  {kind}")
        for example in found.examples[kind]:
            print(f"          {example}")
    print("nothing differs" if not found.counts else f"{sum(found.counts.values())} findings")
    sys.exit(1 if found.counts else 0)


if __name__ == "__main__":
    main()
