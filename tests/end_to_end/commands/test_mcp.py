"""``feeder-tui mcp``, asked by the client of the package mcp, on a store that no exchange stands behind."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commanding import COMMAND, environment
from samples import MIDNIGHT, walk

from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExitCode

mcp = pytest.importorskip("mcp", reason="needs the extra mcp")

MINUTES = 2 * 1440 + 90
ROWS = np.delete(walk(MINUTES, seed=5), [1500, 1501, 1502])
HOLE = MIDNIGHT + 1500 * MINUTE_MS
TOOLS = {
    "list_symbols", "get_candles", "get_profile", "get_coverage", "get_minute", "get_proof", "list_incidents",
    "list_gaps",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored")
    store = Store(path / "lmdb_data", exchange="a simulated exchange")
    store.now = lambda: MIDNIGHT + 3 * DAY_MS
    whole = Coverage([(MIDNIGHT, MIDNIGHT + MINUTES * MINUTE_MS)])
    store.put("BTCUSDT", ROWS[:2000], Source.STREAM).result()
    corrected = ROWS[10:11].copy()
    corrected["trades"] += 5
    store.put("BTCUSDT", corrected, Source.REST, certify=whole).result()
    store.put("BTCUSDT", ROWS[2000:], Source.ARCHIVE_DAY, certify=whole).result()
    store.close()
    return path


@asynccontextmanager
async def asking(folder: Path) -> AsyncIterator[Any]:
    server = mcp.StdioServerParameters(
        command=str(COMMAND[0]), args=[*COMMAND[1:], "mcp", "--storage", "lmdb_data"], cwd=folder,
        env={**environment(), "XDG_RUNTIME_DIR": str(folder)},
    )  # fmt: skip
    async with (
        mcp.stdio_client(server) as (read, write),
        mcp.ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


async def ask(session: Any, tool: str, **arguments: object) -> dict[str, Any]:  # noqa: ANN401 - of mcp
    answer = await session.call_tool(tool, arguments)
    assert not answer.is_error, answer
    assert json.loads(answer.content[0].text) == answer.structured_content
    return answer.structured_content


async def test_a_client_reads_everything_and_changes_nothing(folder: Path) -> None:
    before = (folder / "lmdb_data/data.mdb").read_bytes()
    async with asking(folder) as session:
        offered = (await session.list_tools()).tools
        assert {tool.name for tool in offered} == TOOLS
        assert all(tool.annotations.read_only_hint and tool.description for tool in offered)
        symbols = await ask(session, "list_symbols")
        assert symbols["symbols"] == [
            {"symbol": "BTCUSDT", "start": MIDNIGHT, "end": MIDNIGHT + MINUTES * MINUTE_MS,
             "minutes": len(ROWS), "certified": len(ROWS) - 2000 + 1},
        ]  # fmt: skip
        bars = await ask(session, "get_candles", symbol="BTCUSDT", timeframe="15m", limit=3)
        wanted = aggregate(ROWS[-91:], 900).rows[-3:]
        assert [bar["close"] for bar in bars["candles"]] == wanted["close"].tolist()
        first = await ask(session, "get_candles", symbol="BTCUSDT", start="2026-01-01T00:10:00Z", limit=1)
        assert first["candles"][0]["trades"] == int(ROWS["trades"][10]) + 5
        profile = await ask(session, "get_profile", symbol="BTCUSDT", date="2026-01-01", rows=5)
        assert profile["candle_count"] == 1440
        assert len(profile["largest_rows"]) == 5
        days = (await ask(session, "get_coverage", symbol="BTCUSDT"))["days"]
        assert [(day["date"], day["present"]) for day in days[-3:]] == [
            ("2026-01-01", 1440), ("2026-01-02", 1437), ("2026-01-03", 90),
        ]  # fmt: skip
        minute = await ask(session, "get_minute", symbol="BTCUSDT", time="2026-01-01T00:10:30Z")
        assert [value["source"] for value in minute["values"]] == ["stream", "rest"]
        assert [value["until"] for value in minute["values"]] == [MIDNIGHT + 3 * DAY_MS, None]
        incidents = await ask(session, "list_incidents", symbol="BTCUSDT", start="2026-01-01")
        assert [found["kind"] for found in incidents["incidents"]] == ["correction"]
        assert (await ask(session, "list_incidents", start="2026-01-01"))["incidents"] == incidents[
            "incidents"
        ]
        gaps = await ask(session, "list_gaps")
        assert gaps["missing"] == [
            {"symbol": "BTCUSDT", "start": HOLE, "end": HOLE + 3 * MINUTE_MS, "minutes": 3}
        ]
        assert gaps["feeder"]["state"] == "not running"
        assert await ask(session, "get_proof") == {"total": 0, "heads": []}
    assert (folder / "lmdb_data/data.mdb").read_bytes() == before


#: Tool, arguments, and what the answer says.
NONSENSE: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("get_candles", {"symbol": "NOPE"}, "nothing of 'NOPE' is stored; there is: BTCUSDT"),
    ("get_candles", {"symbol": "BTCUSDT", "timeframe": "7m"}, "what divides a day"),
    ("get_candles", {"symbol": "BTCUSDT", "limit": 501}, "it must be 1 to 500"),
    ("get_minute", {"symbol": "BTCUSDT", "time": "noon"}, "time is no time: 'noon'"),
    ("get_proof", {"symbol": "BTCUSDT", "day": "2026-01-01"}, "BTCUSDT is not signed on 2026-01-01"),
    (
        "get_candles",
        {"limit": "many"},
        "get_candles: symbol: Field required; limit: Input should be a valid ",
    ),
    ("get_proof", {"symbol": "BTCUSDT"}, "symbol needs day, such as 2026-02-21"),
    ("get_proof", {"day": "2026-01-01"}, "2026-01-01 is not signed"),
    ("get_profile", {"symbol": "BTCUSDT", "date": "2020-01-01"}, "there is no profile"),
    ("get_coverage", {"symbol": "BTCUSDT", "start": "2020-01-01"}, "at most 380 days"),
)


async def test_questions_that_make_no_sense_are_told_why(folder: Path) -> None:
    async with asking(folder) as session:
        for tool, arguments, text in NONSENSE:
            answer = await session.call_tool(tool, arguments)
            assert answer.is_error, (tool, arguments)
            assert text in answer.content[0].text
            assert "://" not in answer.content[0].text


def test_a_client_that_dies_ends_it_without_a_word(folder: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    asked = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"},
        },
    }  # fmt: skip
    done = subprocess.run(
        [*COMMAND, "mcp", "--storage", "lmdb_data"], cwd=folder, input=json.dumps(asked).encode() + b"\n",
        stdout=write, stderr=subprocess.PIPE, check=False,
        env={**environment(), "XDG_RUNTIME_DIR": str(folder)},
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (ExitCode.BROKEN_PIPE, b"")
