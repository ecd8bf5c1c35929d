"""``info``, ``gaps`` and ``export`` on a store that no exchange stands behind."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commanding import COMMAND, command, environment
from damaging import damage_day
from samples import MIDNIGHT, walk

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.storage.store import Store, Unavailable
from tui_feeder.research import DamagedDayWarning, open_store

MINUTES = 3 * 1440 + 90  # 2026-01-01T00:00Z to 2026-01-04T01:30Z
HOLE = slice(1500, 1503)  # 2026-01-02T01:00Z, three minutes


@pytest.fixture(scope="module")
def rows() -> Rows:
    made = walk(MINUTES, seed=5)
    return np.delete(made, np.arange(HOLE.start, HOLE.stop))


@pytest.fixture(scope="module")
def folder(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored")
    store = Store(path / "lmdb_data", exchange="a simulated exchange")
    everything = Coverage([(MIDNIGHT, MIDNIGHT + MINUTES * MINUTE_MS)])
    store.put("BTCUSDT", rows[:2880], Source.ARCHIVE_DAY, certify=everything).result()
    store.put("BTCUSDT", rows[2880:], Source.STREAM).result()
    store.put("币安人生USDT", rows[:60], Source.REST, certify=everything).result()
    hole = MIDNIGHT + HOLE.start * MINUTE_MS
    known = Unavailable(hole, hole + MINUTE_MS, "no source has these minutes", 4, MIDNIGHT + 9 * DAY_MS)
    store.set_unavailable("BTCUSDT", (known,)).result()
    store.close()
    return path


def test_info_tells_paths_sizes_and_ranges(folder: Path) -> None:
    done = command("info", "--json", "--sources", cwd=folder)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["store"] == str(folder / "lmdb_data")
    assert told["exchange"] == "a simulated exchange"
    assert told["candles"] == MINUTES - 3 + 60
    assert 0 < told["used_bytes"] <= told["file_bytes"]
    btc, cjk = told["symbols"]
    assert (btc["symbol"], cjk["symbol"]) == ("BTCUSDT", "币安人生USDT")
    assert (btc["start"], btc["end"]) == (MIDNIGHT, MIDNIGHT + MINUTES * MINUTE_MS)
    assert (btc["minutes"], btc["certified_minutes"], btc["missing_minutes"]) == (MINUTES - 3, 2880, 3)
    assert btc["sources"] == {"archive_day": 2880, "stream": MINUTES - 3 - 2880}
    shown = command("info", cwd=folder)
    assert "BTCUSDT       2026-01-01T00:00Z  2026-01-04T01:29Z    4,407     65.4 %        3" in shown.out
    assert "币安人生USDT  2026-01-01T00:00Z" in shown.out
    assert all(len(line) <= 80 for line in shown.out.splitlines()[1:])


def test_gaps_tells_each_missing_range_and_what_is_known_of_it(folder: Path) -> None:
    done = command("gaps", cwd=folder)
    assert done.code == 0, done.err
    assert "BTCUSDT  2026-01-02T01:00Z  2026-01-02T01:01Z        1  2026-01-10T00:00Z" in done.out
    assert "BTCUSDT: 1 gap: no source has these minutes" in done.out
    assert "BTCUSDT  2026-01-02T01:01Z  2026-01-02T01:03Z        2                  -" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert "3 missing, in 1 symbol" in done.out
    told = json.loads(
        command("gaps", "--symbols", "BTC*", "--from", "2025-12-31", "--to", "2026-01-01", "--json",
                cwd=folder).out
    )  # fmt: skip
    assert told["missing_minutes"] == 1440
    assert told["symbols"][0]["gaps"] == [
        {"start": MIDNIGHT - DAY_MS, "end": MIDNIGHT, "minutes": 1440, "state": "missing", "wanted": True}
    ]


@pytest.mark.parametrize("symbols", ["BTCUSDT,ETHUSDT", "ALL", "*USDT"])
def test_a_symbol_that_stopped_early_lacks_minutes_however_it_is_named(tmp_path: Path, symbols: str) -> None:
    store = Store(tmp_path / "lmdb_data", exchange="a simulated exchange")
    store.put("BTCUSDT", walk(2880), Source.REST).result()
    store.put("ETHUSDT", walk(1000), Source.REST).result()
    for name in ("BTCUSDT", "ETHUSDT"):
        store.set_listed(name, MIDNIGHT).result()
    store.close()
    done = command("gaps", cwd=tmp_path, FEEDER_APPLICATION__SYMBOLS=symbols)
    assert "1,880 missing, in 1 symbol" in done.out
    early = ("--from", "2025-12-01", "--to", "2026-01-01T10:00Z")
    done = command("gaps", *early, cwd=tmp_path, FEEDER_APPLICATION__SYMBOLS=symbols)
    assert "2 symbols, 1,200 minutes checked: none missing" in done.out
    assert "BTCUSDT: not listed before 2026-01-01T00:00Z\n" in done.out
    assert "ETHUSDT: not listed before 2026-01-01T00:00Z\n" in done.out
    done = command("gaps", "--from", "2025-12-01", "--to", "2025-12-02", cwd=tmp_path)
    assert "2 symbols, 0 minutes checked: none missing" in done.out
    assert "ETHUSDT: not listed before 2026-01-01T00:00Z\n" in done.out


def test_a_configured_symbol_is_wanted_from_the_configured_start(folder: Path) -> None:
    told = json.loads(
        command("gaps", "--json", cwd=folder,
                FEEDER_APPLICATION__SYMBOLS="ETHUSDT,币安人生USDT",
                FEEDER_APPLICATION__START_DATE="2025-12-31T00:00:00Z",
                FEEDER_APPLICATION__RESPECT_CONFIG_START_DATE="true").out
    )  # fmt: skip
    missing = {one["symbol"]: one["missing_minutes"] for one in told["symbols"]}
    assert missing == {"BTCUSDT": 3, "币安人生USDT": 1440 + MINUTES - 60, "ETHUSDT": 1440 + MINUTES}


def test_minutes_that_no_feeder_reads_are_told_from_those_it_will(tmp_path: Path) -> None:
    """History of long ago, days that are not wanted, then those that are; and a symbol nobody follows."""
    store = Store(tmp_path / "lmdb_data", exchange="a simulated exchange")
    rows = walk(5 * 1440)
    store.put("BTCUSDT", rows[:1440], Source.REST)
    store.put("BTCUSDT", rows[4 * 1440 + 60 :], Source.REST)
    store.put("ETHUSDT", np.delete(rows, np.arange(100, 160)), Source.REST).result()
    store.close()
    wanted = {"FEEDER_APPLICATION__SYMBOLS": "BTCUSDT", "FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "1"}
    done = command("gaps", "--check", cwd=tmp_path, **wanted)
    assert done.code == 3
    ends = [
        "BTCUSDT  2026-01-02T00:00Z  2026-01-05T00:00Z    4,320   not wanted",
        "BTCUSDT  2026-01-05T00:00Z  2026-01-05T01:00Z       60            -",
        "ETHUSDT  2026-01-01T01:40Z  2026-01-01T02:40Z       60   not wanted",
    ]
    assert [line for line in done.out.splitlines() if line[:4] in ("BTCU", "ETHU")] == ends
    assert "only feeder-tui backfill --from reads it" in done.out
    told = json.loads(command("gaps", "--json", cwd=tmp_path, **wanted).out)["symbols"]
    assert [[gap["wanted"] for gap in symbol["gaps"]] for symbol in told] == [[False, True], [False]]
    whole = ("--symbols", "BTCUSDT", "--to", "2026-01-02")
    assert command("gaps", "--check", *whole, cwd=tmp_path, **wanted).code == 0


def test_a_contract_lacks_nothing_after_its_delivery(tmp_path: Path, rows: Rows) -> None:
    store = Store(tmp_path / "lmdb_data", exchange="a simulated exchange")
    ended, going_on = "coinm:BTCUSD_260102", "coinm:BTCUSD_PERP"
    store.put(going_on, rows[:1500], Source.REST)
    store.put(ended, rows[:480], Source.REST)
    store.set_contract(ended, 100.0, MIDNIGHT + 480 * MINUTE_MS).result()
    store.close()
    symbols = {"FEEDER_APPLICATION__SYMBOLS": f"{ended},{going_on}"}
    symbols["FEEDER_APPLICATION__START_DATE"] = "2026-01-01T00:00:00Z"
    symbols["FEEDER_APPLICATION__RESPECT_CONFIG_START_DATE"] = "true"
    done = command("gaps", "--json", cwd=tmp_path, **symbols)
    assert (done.code, json.loads(done.out)["missing_minutes"]) == (0, 0), done.out + done.err


def test_a_damaged_day_is_a_gap_for_who_only_reads(tmp_path: Path) -> None:
    store = Store(tmp_path / "lmdb_data", exchange="a simulated exchange")
    store.put("BTCUSDT", walk(3 * 1440), Source.ARCHIVE_DAY).result()
    store.close()
    damage_day(tmp_path / "lmdb_data", "BTCUSDT", MIDNIGHT + DAY_MS)
    done = command("gaps", cwd=tmp_path)
    assert "BTCUSDT  2026-01-02T00:00Z  2026-01-03T00:00Z    1,440      damaged" in done.out
    assert "damaged: stored and not readable; the running engine, or backfill, reads it again" in done.out
    gaps = json.loads(command("gaps", "--json", cwd=tmp_path).out)["symbols"][0]["gaps"]
    assert [gap["minutes"] for gap in gaps if gap["state"] == "damaged"] == [1440]
    named = "feeder-tui: BTCUSDT: 1 stored day damaged and left out: 2026-01-02; the running engine"
    for arguments in (("info", "--sources"), ("replay",), ("export", "--symbol", "BTCUSDT")):
        done = command(*arguments, cwd=tmp_path)
        assert done.code == 4
        assert named in done.err
        assert done.err.count("\n") == 1
        if arguments[0] != "info":
            assert len(done.out.splitlines()) in (2880, 2881)
    with open_store(tmp_path / "lmdb_data") as opened:
        with pytest.warns(DamagedDayWarning, match="candles of 2026-01-02 are damaged and left out"):
            candles = opened.candles("BTCUSDT")
        assert len(candles) == 2880
        assert list(opened.damaged("BTCUSDT")) == [(MIDNIGHT + DAY_MS, MIDNIGHT + 2 * DAY_MS)]


def test_export_writes_the_same_candles_in_every_format(folder: Path, rows: Rows) -> None:
    span = ("--from", "2026-01-02", "--to", "2026-01-03T00:00:00Z")
    wanted = rows[(rows["open_time"] >= MIDNIGHT + DAY_MS) & (rows["open_time"] < MIDNIGHT + 2 * DAY_MS)]
    done = command("export", "--symbol", "usdm:BTCUSDT", *span, "--format", "jsonl", cwd=folder)
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len(lines) == 1437
    for name in ROW.names or ():
        assert [line[name] for line in lines] == wanted[name].tolist()
    assert all(line["close_time"] == line["open_time"] + 59_999 for line in lines)

    file = folder / "btc.csv"
    done = command("export", "--symbol", "BTCUSDT", *span, "--output", file, cwd=folder)
    assert done.code == 0, done.err
    assert done.out == ""
    assert f"wrote 1,437 candles of BTCUSDT 1m to {file}" in done.err
    table = [line.split(",") for line in file.read_text().splitlines()]
    assert [dict(zip(table[0], map(float, row), strict=True)) for row in table[1:]] == lines
    assert sorted(path.name for path in folder.iterdir()) == ["btc.csv", "lmdb_data"]
    file.unlink()


@pytest.mark.parametrize(
    ("name", "arguments", "first"),
    [
        ("x.jsonl", (), b'{"open_time":'), ("X.NDJSON", (), b'{"open_time":'), ("x.csv", (), b"open_time,"),
        ("x.json", ("--format", "jsonl"), b'{"open_time":'), ("x", (), b"open_time,"),
        ("x.txt", ("--format", "csv"), b"open_time,"),
        ("x.parquet", (), b"PAR1"), ("x.parquet", ("--profile", "rows"), b"PAR1"),
    ],
)  # fmt: skip
def test_the_name_of_the_file_says_what_is_written(
    folder: Path, tmp_path: Path, name: str, arguments: tuple[str, ...], first: bytes
) -> None:
    if first == b"PAR1":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    file = tmp_path / name
    done = command("export", "--symbol", "BTCUSDT", "--to", "2026-01-02", "-o", file, *arguments, cwd=folder)
    assert done.code == 0, done.err
    assert file.read_bytes().startswith(first)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ladders",), "no trades of this symbol and range are stored"),
        (("--from", "2026-03-01"), "stored are 2026-01-01"),
        (("--from", "2026-03-01", "--profile", "rows"), "no rows in this range; stored are 2026-01-01"),
    ],
)
def test_an_export_of_nothing_says_so_beside_the_head(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = command("export", "--symbol", "BTCUSDT", *arguments, cwd=folder)
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert message in done.err


def moment(minute: int) -> int:
    return MIDNIGHT + minute * MINUTE_MS


#: Runs of minutes of one state in the folder ``states``: start and end, ms of Unix time, minutes, state.
STATES = [
    (moment(0), moment(1500), 1500, "present"),
    (moment(1500), moment(1501), 1, "none_at_exchange"),
    (moment(1501), moment(1502), 1, "unavailable"),
    (moment(1502), moment(1503), 1, "missing"),
    (moment(1503), moment(1603), 100, "present"),
]
EXPORT_STATES = ("export", "--symbol", "spot:BTCUSDT", "--states")


@pytest.fixture
def states(tmp_path: Path, rows: Rows) -> Path:
    store = Store(tmp_path / "lmdb_data", exchange="a simulated exchange")
    store.put("spot:BTCUSDT", rows[:1600], Source.REST).result()
    store.set_omitted("spot:BTCUSDT", Coverage([(moment(1500), moment(1501))])).result()
    known = Unavailable(moment(1501), moment(1502), "no source has it", 4, MIDNIGHT)
    store.set_unavailable("spot:BTCUSDT", (known,)).result()
    store.close()
    return tmp_path


def test_states_of_all_minutes_are_exported(states: Path) -> None:
    done = command(*EXPORT_STATES, cwd=states)
    assert done.code == 0, done.err
    assert done.out.splitlines() == ["start,end,minutes,state", *(",".join(map(str, row)) for row in STATES)]
    done = command(*EXPORT_STATES, "--format", "jsonl", "--from", "2026-01-02T01:00:00Z", cwd=states)
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [tuple(line.values()) for line in lines] == STATES[1:]
    done = command(*EXPORT_STATES, "--format", "jsonl", "--from", "2026-03-01", cwd=states)
    assert (done.code, done.out) == (0, "")
    done = command(*EXPORT_STATES, "--timeframe", "5m", cwd=states)
    assert (done.code, "leave out --timeframe" in done.err) == (2, True)


def test_states_are_written_as_parquet(states: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    done = command(*EXPORT_STATES, "--format", "parquet", "-o", "x.parquet", cwd=states)
    assert "wrote 5 spans of spot:BTCUSDT 1m to x.parquet" in done.err
    table = parquet.read_table(states / "x.parquet").to_pylist()
    assert [(row["start"].timestamp() * 1000, row["state"]) for row in table] == [
        (row[0], row[3]) for row in STATES
    ]


def test_bars_that_lack_minutes_are_left_out_unless_asked_for(folder: Path, rows: Rows) -> None:
    arguments = ("export", "--symbol", "BTCUSDT", "--timeframe", "1h", "--format", "jsonl")
    whole = [json.loads(line) for line in command(*arguments, cwd=folder).out.splitlines()]
    every = [
        json.loads(line) for line in command(*arguments, "--include-partial", cwd=folder).out.splitlines()
    ]
    hours = [(bar["open_time"] - MIDNIGHT) // 3_600_000 for bar in every]
    assert hours == list(range(74))  # the last one has 30 minutes so far
    assert [bar for bar in every if (bar["open_time"] - MIDNIGHT) // 3_600_000 not in (25, 73)] == whole
    inside = rows[rows["open_time"] >= MIDNIGHT + 73 * 3_600_000]
    assert every[-1]["open"] == inside["open"][0]
    assert every[-1]["close"] == inside["close"][-1]
    assert every[-1]["high"] == inside["high"].max()
    assert every[-1]["volume"] == pytest.approx(inside["volume"].sum())
    assert every[-1]["close_time"] == MIDNIGHT + 74 * 3_600_000 - 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("export", "--symbol", "BTCUSDT,ETHUSDT"), 2, "export writes one symbol"),
        (("export", "--symbol", "BTCUSD"), 2, "did you mean BTCUSDT?"),
        (("export", "--symbol", "btcusdt", "--ladders"), 2, "did you mean BTCUSDT?"),
        (("export", "--symbol", "BTCUST", "--profile", "rows"), 2, "did you mean BTCUSDT?"),
        (("export", "--symbol", "NOPE"), 2, "it holds BTCUSDT, 币安人生USDT"),
        (("export", "--symbol", "BTCUSDT", "-o", "x.xlsx"), 2, "name the file .csv, .jsonl"),
        (("export", "--symbol", "BTCUSDT", "-o", "x.json"), 2, "name the file .csv, .jsonl"),
        (("export", "--symbol", "BTCUSDT", "-o", "x.parquet", "--format", "csv"), 2, "name it .csv"),
        (("export", "--symbol", "BTCUSDT", "-o", "x.csv.gz"), 2, "or state --format"),
        (("export", "--symbol", "BTCUSDT", "--timeframe", "7m"), 2, "'7m' is not a timeframe"),
        (("export", "--symbol", "BTCUSDT", "--to", "yesterday"), 2, "--to: 'yesterday' is not a time"),
        (("export", "--symbol", "BTCUSDT", "-o", "none/x.csv"), 1, "none/x.csv cannot be written"),
        (("info", "--symbols", "BTCUSD"), 2, "did you mean BTCUSDT?"),
        (("gaps", "--storage", "nowhere"), 1, "nowhere holds no store"),
        (("verify", "--storage", "nowhere", "--repair"), 1, "nowhere holds no store"),
    ],
)
def test_what_makes_no_sense_is_one_message(
    folder: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = command(*arguments, cwd=folder)
    assert done.code == code
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not (folder / "nowhere").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output", "json"), "Invalid value for '--output': 'json' is not known: write jsonl\n"),
        (
            ("export", "--symbol", "BTCUSDT", "--format", "json"),
            "Invalid value for '--format': 'json' is not known: write one of csv, jsonl, parquet\n",
        ),
    ],
)
def test_a_choice_that_there_is_not_names_those_that_there_are(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = command(*arguments, cwd=folder)
    assert done.code == 2
    assert done.err.endswith(message)


def test_a_repair_of_a_valid_store_mends_nothing(folder: Path) -> None:
    done = command("verify", "--offline", "--repair", cwd=folder)
    assert (done.code, done.out.splitlines()[-1]) == (0, "nothing was wrong")


def test_without_pyarrow_parquet_names_the_extra(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not installed')\n")
    arguments = ("export", "--symbol", "BTCUSDT", "--format", "parquet", "-o", "x.parquet")
    done = command(*arguments, cwd=folder, PYTHONPATH=str(tmp_path))
    assert done.code == 2
    assert "pip install 'feeder-tui[parquet]'" in done.err
    assert not (folder / "x.parquet").exists()


def test_parquet_holds_the_same_candles(folder: Path, rows: Rows, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    file = tmp_path / "x.parquet"
    done = command("export", "--symbol", "BTCUSDT", "--format", "parquet", "-o", file, cwd=folder)
    assert done.code == 0, done.err
    table = parquet.read_table(file)
    for name in (ROW.names or ())[1:]:
        assert np.array_equal(table[name].to_numpy(), rows[name])
    assert table.schema.metadata[b"symbol"] == b"BTCUSDT"
    times = rows["open_time"].astype("datetime64[ms]")
    assert [str(table.schema.field(name).type) for name in ("open_time", "close_time")] == [
        "timestamp[ms, tz=UTC]"
    ] * 2
    frame = pytest.importorskip("pandas").read_parquet(file)
    assert str(frame["open_time"].dt.tz) == "UTC"
    assert np.array_equal(frame["open_time"].dt.tz_localize(None).to_numpy(), times)
    assert np.array_equal(
        frame["close_time"].dt.tz_localize(None).to_numpy(), times + np.timedelta64(59_999, "ms")
    )
    polars = pytest.importorskip("polars")
    columns = polars.read_parquet(file)
    assert columns.schema["open_time"] == polars.Datetime("ms", "UTC")
    assert np.array_equal(columns["open_time"].to_physical().to_numpy(), rows["open_time"])


def test_a_reader_that_leaves_ends_the_export_quietly(folder: Path) -> None:
    line = " ".join([*COMMAND, "export --symbol BTCUSDT | head -n 2"])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True, text=True, timeout=60, env=environment(), cwd=folder, check=False,
    )  # fmt: skip
    assert done.returncode == 141
    assert done.stderr == ""
    assert done.stdout.count("\n") == 2


def test_a_failed_export_leaves_the_file_that_was_there(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "kept.csv"
    file.write_text("as it was\n")
    file.chmod(0o640)
    program = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "sys.dont_write_bytecode = True\n"
        "from tui_feeder.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "export", "--symbol", "BTCUSDT", "--output", str(file), "--force"],
        capture_output=True, text=True, timeout=60, env=environment(), cwd=folder, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{file} cannot be written: {os.strerror(27)}" in done.stderr
    assert file.read_text() == "as it was\n"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.csv"]


# --- what is there already is not replaced by chance ----------------------------------------------

EXPORT = ("export", "--symbol", "BTCUSDT", "--timeframe", "1d")


def test_a_file_that_is_there_is_replaced_only_by_force_and_keeps_its_mode(
    folder: Path, tmp_path: Path
) -> None:
    whole = command(*EXPORT, cwd=folder).out
    file = tmp_path / "days.csv"
    assert command(*EXPORT, "-o", file, cwd=folder).code == 0
    assert file.read_text() == whole
    file.write_text("mine\n")
    file.chmod(0o600)
    done = command(*EXPORT, "-o", file, cwd=folder)
    assert done.code == 2
    assert done.err == (
        f"feeder-tui: {file} is there already: add --force to replace it, or name another file\n"
    )
    assert file.read_text() == "mine\n"
    done = command(*EXPORT, "-o", file, "--force", cwd=folder)
    assert done.code == 0
    assert file.read_text() == whole
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["days.csv"]


def test_a_link_stays_a_link_and_what_it_leads_to_is_written(folder: Path, tmp_path: Path) -> None:
    whole = command(*EXPORT, cwd=folder).out
    (tmp_path / "data").mkdir()
    file, link = tmp_path / "data" / "days.csv", tmp_path / "link.csv"
    link.symlink_to("data/days.csv")  # to nothing so far
    assert command(*EXPORT, "-o", link, cwd=folder).code == 0
    assert (link.is_symlink(), file.read_text()) == (True, whole)
    file.write_text("mine\n")
    other = tmp_path / "other name"
    other.hardlink_to(file)
    assert command(*EXPORT, "-o", link, cwd=folder).code == 2
    assert command(*EXPORT, "-o", link, "--force", cwd=folder).code == 0
    assert (link.is_symlink(), file.read_text(), other.read_text()) == (True, whole, whole)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["days.csv"]


def test_pipes_and_devices_are_written_as_they_are(folder: Path, tmp_path: Path) -> None:
    whole = command(*EXPORT, cwd=folder).out
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        assert command(*EXPORT, "-o", pipe, cwd=folder).code == 0
        assert reader.communicate(timeout=60)[0] == whole
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert command(*EXPORT, "-o", "/dev/stdout", cwd=folder).out == whole
    assert command(*EXPORT, "-o", "/dev/fd/1", cwd=folder).out == whole
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("a device is made by root")
    assert command(*EXPORT, "-o", device, "--force", cwd=folder).code == 0
    assert stat.S_ISCHR(device.lstat().st_mode)
    full = tmp_path / "full"
    os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    done = command(*EXPORT, "-o", full, cwd=folder)
    assert (done.code, done.err) == (
        1,
        f"feeder-tui: {full} cannot be written: No space left on device: make room\n",
    )
    done = command(*EXPORT, "-o", tmp_path, cwd=folder)
    assert (done.code, done.err) == (
        1,
        f"feeder-tui: {tmp_path} cannot be written: Is a directory: name a file\n",
    )


def test_a_configuration_is_written_through_a_link_and_keeps_its_mode(tmp_path: Path) -> None:
    file, link = tmp_path / "real.toml", tmp_path / "config.toml"
    file.write_text("old\n")
    file.chmod(0o640)
    link.symlink_to(file)
    assert command("config", "init", link, cwd=tmp_path).code == 2
    assert command("config", "init", link, "--force", cwd=tmp_path).code == 0
    assert link.is_symlink()
    assert "[application]" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert "[application]" in command("config", "init", "/dev/stdout", cwd=tmp_path).out


def test_a_home_that_the_shell_left_alone_is_found(folder: Path, tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    assert command(*EXPORT, "--output=~/days.csv", cwd=folder, **env).code == 0
    assert command("backup", "~/copy", cwd=folder, **env).code == 0
    assert command("info", "--storage=~/copy", cwd=tmp_path, **env).code == 0
    assert command("config", "init", "~/mine.toml", cwd=folder, **env).code == 0
    for more in (("--config=~/mine.toml",), ()):
        done = command("config", "check", *more, cwd=folder, FEEDER_CONFIG="~/mine.toml", **env)
        assert (done.code, done.out.split(":")[0]) == (0, str(tmp_path / "mine.toml"))
    assert f"{tmp_path}/no.sock" in command("status", "--socket=~/no.sock", cwd=folder, **env).err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "days.csv", "mine.toml"]
    assert not (folder / "~").exists()
    for arguments in (("backup", "~nobody-here/x"), ("status", "--socket=~nobody-here/x")):
        done = command(*arguments, cwd=folder)
        assert (done.code, done.err) == (
            1,
            "feeder-tui: ~nobody-here/x names a home directory that is not known: name the whole path\n",
        )
