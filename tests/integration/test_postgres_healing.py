"""What is done to the tables by hand is found by comparing them with the store, and mended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from feed import until
from mirrored import SYMBOLS, caught_up, opened, settings, tables_equal_the_store
from msgspec.structs import replace
from services import Postgres as Server
from sinking import at_work
from sinks_check import check, to_postgres
from store_child import rows_of
from stores import minute

from tui_feeder.config import Config
from tui_feeder.engine.core.candle import DAY_MS, Source
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.sinks import mirror_check, postgres_schema
from tui_feeder.engine.sinks import postgres as postgres_sink
from tui_feeder.engine.sinks.postgres import PostgresSink
from tui_feeder.engine.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = opened(tmp_path / "store")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_check, "_HOUR_SECONDS", 0.2)
    monkeypatch.setattr(mirror_check, "_TURNS", 1)
    monkeypatch.setattr(mirror_check, "_PAUSE", 0.0)


async def mirror(server: Server, store: Store, config: Config | None = None) -> None:
    sink = PostgresSink(config or settings(server), store)
    async with at_work(sink):
        await agreed(sink, store)


def checked(server: Server, store: Store, tmp_path: Path) -> tuple[int, str]:
    """What ``sinks check`` says of PostgreSQL."""
    done = check(
        tmp_path, **to_postgres(server), APPLICATION__STORAGE_PATH=str(store.path),
        TECHNICAL_ANALYSIS__TIMEFRAMES="60,300,3600,86400",
    )  # fmt: skip
    return done.returncode, done.stdout


async def until_equal(server: Server, store: Store) -> None:
    for _ in range(200):
        try:
            assert await tables_equal_the_store(server, store) > 3 * 4_000
        except Exception:
            await asyncio.sleep(0.1)
        else:
            return
    await tables_equal_the_store(server, store)


async def agreed(sink: PostgresSink, store: Store) -> None:
    """Wait until every day was compared and no difference was left."""
    await caught_up(sink, store)
    clean: set[int] = set()
    original = mirror_check.Comparing.done

    def done(
        self: mirror_check.Comparing, day: int, digests: bool, found: list[object], *more: float
    ) -> object:
        if found:
            clean.clear()
        elif digests:
            clean.add(day)
        return original(self, day, digests, found, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirror_check.Comparing, "done", done)
        await until(lambda: len(clean) == 3, 60)


def said(journal: Journal, level: str) -> list[str]:
    return [event.text for event in journal.events if event.level == level]


async def test_what_agrees_is_said_by_the_check_and_written_no_second_time(
    postgres: Server, store: Store, tmp_path: Path
) -> None:
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink) as journal:
        await caught_up(sink, store)
        written = journal.counters["postgres_candles"]
        await agreed(sink, store)
        assert journal.counters["postgres_candles"] == written
        assert journal.counters["postgres_differences"] == 0
    code, out = await asyncio.to_thread(checked, postgres, store, tmp_path)
    assert code == 0, out
    assert "compared with the store: 3 days, no difference" in out


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE candles_1m SET close = close * 1.0000000000000002 "
        "WHERE symbol = 'BTCUSDT' AND time_frame = '1m' AND time IN "
        "(SELECT time FROM candles_1m WHERE symbol = 'BTCUSDT' ORDER BY time LIMIT 1)",
        "DELETE FROM candles_1m WHERE symbol = 'ADAUSDT' AND time_frame = '1h'",
        "UPDATE candles_1m SET minutes = NULL WHERE time_frame = '1d'",
        "TRUNCATE candles_1m",
        "DELETE FROM candles_1m",
    ],
    ids=["a bit of a price", "a timeframe", "a column", "truncated", "emptied"],
)
async def test_what_was_changed_is_told_by_the_check_and_written_again(
    postgres: Server, store: Store, tmp_path: Path, harm: str
) -> None:
    await mirror(postgres, store)
    postgres.sql(harm)
    code, out = await asyncio.to_thread(checked, postgres, store, tmp_path)
    assert code == 4
    assert "a feeder that runs writes it again" in out
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink) as journal:
        for _ in range(2):  # found at the start, and while it runs
            await until(lambda: any("written again" in text for text in said(journal, "warning")), 60)
            await until_equal(postgres, store)
            await agreed(sink, store)
            journal.events.clear()
            await asyncio.to_thread(postgres.sql, harm)
        assert not said(journal, "error")


@pytest.mark.parametrize(
    "harm",
    [
        "DROP TABLE candles_1m",
        "DROP TABLE candles_1m, feeder_migrations",
        "DROP TABLE candles_1m, feeder_migrations, feeder_mirror, volume_profiles",
        "DROP TABLE feeder_mirror",
        "DROP TABLE volume_profiles",
        "DROP INDEX candles_1m_time_symbol_time_frame",
        "ALTER TABLE volume_profiles DROP CONSTRAINT volume_profiles_pkey",
        "ALTER TABLE candles_1m DROP COLUMN minutes",
        "ALTER TABLE candles_1m DROP COLUMN close",
        "ALTER TABLE volume_profiles DROP COLUMN poc",
        "ALTER TABLE volume_profiles DROP COLUMN made_with",
        "ALTER TABLE feeder_mirror DROP COLUMN minutes",
    ],
)
async def test_what_was_dropped_comes_back_with_everything_in_it(
    postgres: Server, store: Store, tmp_path: Path, harm: str
) -> None:
    await mirror(postgres, store)
    profiles = postgres.sql("SELECT symbol, date, poc FROM volume_profiles ORDER BY 1, 2")
    assert profiles.count("\n") == 8
    postgres.sql(harm)
    code, out = await asyncio.to_thread(checked, postgres, store, tmp_path)
    assert code == 0, out
    assert "would create" in out
    await mirror(postgres, store)
    await until_equal(postgres, store)
    assert postgres.sql("SELECT symbol, date, poc FROM volume_profiles ORDER BY 1, 2") == profiles
    code, out = await asyncio.to_thread(checked, postgres, store, tmp_path)
    assert (code, "tables: all there" in out) == (0, True), out


async def test_a_table_dropped_while_it_runs_comes_back(postgres: Server, store: Store) -> None:
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink):
        await caught_up(sink, store)
        await asyncio.to_thread(postgres.sql, "DROP TABLE candles_1m")
        await until_equal(postgres, store)


async def test_a_column_that_holds_no_doubles_is_refused_with_the_remedy(
    postgres: Server, store: Store, tmp_path: Path
) -> None:
    await mirror(postgres, store)
    postgres.sql("ALTER TABLE candles_1m ALTER COLUMN close TYPE numeric(10,2)")
    code, out = await asyncio.to_thread(checked, postgres, store, tmp_path)
    remedy = "ALTER TABLE candles_1m ALTER COLUMN close TYPE double precision"
    assert code == 4
    assert "candles_1m.close is numeric(10,2), which does not hold every value exactly" in out
    assert remedy in out
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink) as journal:
        await until(lambda: remedy in sink.status())
        assert len(said(journal, "error")) == 1
    postgres.sql(remedy)  # the rows are those of the narrow column still
    await mirror(postgres, store)
    await until_equal(postgres, store)


@pytest.mark.parametrize(
    ("harm", "said_of"),
    [
        ("DROP INDEX candles_1m_time_symbol_time_frame; TRUNCATE candles_1m", "0 rows, the store has"),
        ("DROP INDEX candles_1m_time_symbol_time_frame; TRUNCATE volume_profiles", "no profile"),
        ("DROP TABLE candles_1m; UPDATE volume_profiles SET poc = 1", "another profile"),
        ("DROP TABLE volume_profiles; UPDATE candles_1m SET close = 1", "other values"),
        ("ALTER TABLE candles_1m DROP COLUMN minutes; DELETE FROM candles_1m", "0 rows, the store has"),
    ],
)
async def test_the_check_compares_what_is_there_though_something_would_be_created(
    postgres: Server, store: Store, tmp_path: Path, harm: str, said_of: str
) -> None:
    await mirror(postgres, store)
    postgres.sql(harm)
    code, out = await asyncio.to_thread(checked, postgres, store, tmp_path)
    assert (code, said_of in out) == (4, True), out


@pytest.mark.parametrize(
    ("harm", "said_of"),
    [
        ("TRUNCATE volume_profiles", "volume_profiles was emptied"),
        ("DELETE FROM volume_profiles WHERE symbol = 'BTCUSDT'", "no profile"),
        ("UPDATE volume_profiles SET poc = 1", "another profile than the store's"),
        ("UPDATE volume_profiles SET weights[2] = weights[2] * 1.0000000000000002", "another profile"),
    ],
)
async def test_profiles_that_were_changed_are_told_by_the_check_and_written_again(
    postgres: Server, store: Store, tmp_path: Path, harm: str, said_of: str
) -> None:
    all_of_them = "SELECT string_agg(v::text, ' ' ORDER BY symbol, date) FROM volume_profiles v"
    await mirror(postgres, store)
    right = postgres.sql(all_of_them)
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink) as journal:
        await agreed(sink, store)
        assert not said(journal, "warning")
        await asyncio.to_thread(postgres.sql, harm)
        await until(lambda: any(said_of in text for text in said(journal, "warning")), 60)
        await until(lambda: postgres.sql(all_of_them) == right, 60)
    postgres.sql(harm)
    code, out = await asyncio.to_thread(checked, postgres, store, tmp_path)
    assert (code, "profile" in out) == (4, True), out
    await mirror(postgres, store)
    assert postgres.sql(all_of_them) == right


async def test_emptied_profiles_are_noticed_with_the_next_pass(
    postgres: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = "SELECT count(*) FROM volume_profiles"
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink):
        await agreed(sink, store)
        monkeypatch.setattr(mirror_check.Comparing, "next", lambda *given: None)  # nothing is compared now
        await asyncio.to_thread(postgres.sql, "TRUNCATE volume_profiles")
        await until(lambda: postgres.sql(count) == "9", 20)


@pytest.mark.parametrize(
    ("harm", "said_of", "mended"),
    [
        (
            "ALTER TABLE candles_1m ALTER COLUMN close TYPE numeric(10,2)",
            "ALTER TABLE candles_1m ALTER COLUMN close TYPE double precision",
            "ALTER TABLE candles_1m ALTER COLUMN close TYPE double precision",
        ),
        (
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN NEW.close = 1; RETURN NEW; END'; CREATE TRIGGER spoil BEFORE INSERT OR UPDATE "
            "ON candles_1m FOR EACH ROW EXECUTE FUNCTION spoil(); "
            "UPDATE candles_1m SET open = open WHERE symbol = 'ADAUSDT'",
            "also when written again: something in the database changes what is written",
            "DROP TRIGGER spoil ON candles_1m",
        ),
    ],
    ids=["a type", "a trigger"],
)
async def test_a_table_that_does_not_keep_what_is_written_is_said_and_healed_once_it_does(
    postgres: Server, store: Store, monkeypatch: pytest.MonkeyPatch, harm: str, said_of: str, mended: str
) -> None:
    monkeypatch.setattr(postgres_schema, "AGAIN_SECONDS", 0.3)
    monkeypatch.setattr(postgres_sink, "AGAIN_SECONDS", 0.3)
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink) as journal:
        await agreed(sink, store)
        await asyncio.to_thread(postgres.sql, harm)
        await until(lambda: said_of in sink.status(), 60)
        assert any(said_of in text for text in said(journal, "error"))
        await asyncio.to_thread(postgres.sql, mended)
        await until_equal(postgres, store)
        await until(lambda: sink.status() == "ok", 60)


async def test_what_nobody_touched_raises_no_alarm_while_minutes_come(
    postgres: Server, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store", exchange="a test")
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink) as journal:
        for n in range(150):  # three days, an hour or so at a time
            for symbol in SYMBOLS:
                rows = rows_of(minute(29 * n), minute(29 * n + 29), Source.STREAM)
                await asyncio.wrap_future(store.put(symbol, rows, Source.STREAM))
            await asyncio.sleep(0.05)
        await agreed(sink, store)
        assert not said(journal, "warning")
        assert not said(journal, "error")
    store.close()


async def test_an_old_table_with_duplicates_is_told_before_the_start(
    postgres: Server, store: Store, tmp_path: Path
) -> None:
    postgres.sql(
        "CREATE TABLE candles_1m (time timestamptz NOT NULL, symbol text NOT NULL, time_frame text NOT NULL, "
        "open double precision, high double precision, low double precision, close double precision, "
        "volume double precision, trade_count bigint, taker_buy_volume double precision); "
        "INSERT INTO candles_1m VALUES ('2020-01-01', 'OLD', '1m', 1, 1, 1, 1, 1, 1, 1), "
        "('2020-01-01', 'OLD', '1m', 2, 2, 2, 2, 2, 2, 2)"
    )
    code, out = await asyncio.to_thread(checked, postgres, store, tmp_path)
    assert code == 4
    assert "candles_1m has 2 rows of 2020-01-01 00:00:00+00:00, OLD, 1m, where one may be" in out
    remedy = out[out.index("DELETE FROM") :].strip().splitlines()[0]
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink):
        await until(lambda: remedy in sink.status())
    assert postgres.sql("SELECT count(*) FROM candles_1m") == "2"
    postgres.sql(remedy)
    assert postgres.sql("SELECT close FROM candles_1m") == "2"
    await mirror(postgres, store)
    postgres.sql("DELETE FROM candles_1m WHERE symbol = 'OLD'")
    await until_equal(postgres, store)


async def test_rows_of_somebody_else_stay_and_are_told_once(postgres: Server, store: Store) -> None:
    for symbol in SYMBOLS:  # a hole in the store, in which the table has a row
        store.put(symbol, rows_of(minute(4200), minute(4300), Source.STREAM), Source.STREAM).result()
    await mirror(postgres, store)
    at = minute(4150) // 1000
    postgres.sql(
        "INSERT INTO candles_1m (time, symbol, time_frame, open, high, low, close, volume, trade_count, "
        f"taker_buy_volume) VALUES (to_timestamp({at}), 'BTCUSDT', '1m', 1, 1, 1, 1, 1, 1, 1)"
    )
    sink = PostgresSink(settings(postgres), store)
    compared: list[int] = []
    original = mirror_check.Comparing.done

    def done(self: mirror_check.Comparing, day: int, *given: object) -> object:
        compared.append(day)
        return original(self, day, *given)

    async with at_work(sink) as journal:
        await until(lambda: any("left so" in text for text in said(journal, "warning")), 60)
        await caught_up(sink, store)
        written = journal.counters["postgres_candles"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mirror_check.Comparing, "done", done)
            await until(lambda: len(compared) >= 12, 60)
        assert journal.counters["postgres_candles"] == written
        assert sum("left so" in text for text in said(journal, "warning")) == 1
    assert postgres.sql(f"SELECT close FROM candles_1m WHERE time = to_timestamp({at})").split() == ["1"]


async def test_profiles_of_old_settings_or_changed_by_hand_are_written_again(
    postgres: Server, store: Store
) -> None:
    await mirror(postgres, store)
    increments = "SELECT count(DISTINCT price_increment), max(price_increment) FROM volume_profiles"
    before = postgres.sql(increments)
    config = settings(postgres)
    other = replace(config.volume_profile, price_increment_mode="Fixed", fixed_price_increment=2.5)
    await mirror(postgres, store, replace(config, volume_profile=other))
    assert postgres.sql(increments) == "1|2.5"
    sink = PostgresSink(config, store)
    async with at_work(sink):
        await caught_up(sink, store)
        await until(lambda: postgres.sql(increments) == before)
        poc = "SELECT string_agg(poc::text, ' ' ORDER BY symbol, date) FROM volume_profiles"
        right = postgres.sql(poc)
        postgres.sql("UPDATE volume_profiles SET poc = poc + 1")
        await until(lambda: postgres.sql(poc) == right)


async def test_a_damaged_day_of_one_symbol_holds_back_that_day_alone(postgres: Server, store: Store) -> None:
    day = (minute(0) // DAY_MS + 1) * DAY_MS
    await mirror(postgres, store)
    postgres.sql("DROP TABLE candles_1m")

    def hurt(write: Any) -> None:  # noqa: ANN401
        days = store._environment.days.database
        key = b"ADAUSDT\0" + (day // DAY_MS).to_bytes(4, "big")
        block = bytearray(write.txn.get(key, db=days))
        block[-1] ^= 1
        write.txn.put(key, bytes(block), db=days)

    store._submit(hurt).result()
    sink = PostgresSink(settings(postgres), store)
    async with at_work(sink) as journal:
        await until(lambda: bool(store.damaged("ADAUSDT")), 60)
        await caught_up(sink, store)
        assert await tables_equal_the_store(postgres, store) > 3 * 3_000
        count = "SELECT count(*) FROM candles_1m WHERE symbol = 'ADAUSDT' AND time_frame = '1m'"
        assert int(postgres.sql(count)) == store.present("BTCUSDT").minutes - 1440
        assert journal.counters["postgres_failures"] == 0
        # It is read again, and has other values than before.
        rows = rows_of(day, day + DAY_MS, Source.ARCHIVE_DAY)
        await asyncio.wrap_future(store.put("ADAUSDT", rows, Source.ARCHIVE_DAY))
        await until_equal(postgres, store)
