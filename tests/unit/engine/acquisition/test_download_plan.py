from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_feeder.engine.acquisition.download_plan import Plan, make_plan, rest_pages
from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def at(moment: int) -> datetime:
    return datetime.fromtimestamp(moment / 1000, UTC)


def first_of_next_month(moment: datetime) -> datetime:
    return (moment.replace(day=1) + timedelta(days=32)).replace(day=1)


def published(file: File) -> int:
    """A day's file comes nine hours after its end, a month's three days after."""
    return file.end + (9 * 60 * MINUTE_MS if file.kind is FileKind.DAY else 3 * DAY_MS)


def planned(
    missing: Coverage, *, now: int, threshold: int, without: dict[FileKind, Coverage] | None = None
) -> Plan:
    return make_plan(
        missing, now=now, published=published, monthly_threshold_months=threshold, without=without
    )


START = ms("2023-10-15")
spans = st.tuples(
    st.integers(0, 300 * 1440), st.sampled_from((1, 60, 499, 500, 1440, 3000, 45_000, 140_000))
).map(lambda pair: (START + pair[0] * MINUTE_MS, START + (pair[0] + pair[1]) * MINUTE_MS))
coverages = st.lists(spans, max_size=4).map(Coverage)
barred = st.fixed_dictionaries({}, optional={FileKind.MONTH: coverages, FileKind.DAY: coverages})


@settings(max_examples=examples(150))
@given(coverages, st.integers(0, 60), st.integers(0, 4), barred)
def test_a_plan_covers_exactly_what_is_missing_each_minute_once(
    missing: Coverage, days_later: int, threshold: int, without: dict[FileKind, Coverage]
) -> None:
    now = (missing.end if missing else START) + days_later * DAY_MS
    plan = planned(missing, now=now, threshold=threshold, without=without)
    assert plan.covers == missing
    parts = [(file.start, file.end) for file in plan.files] + list(plan.rest)
    assert sum(end - start for start, end in parts) == missing.minutes * MINUTE_MS
    starts = [file.start for file in plan.files]
    assert starts == sorted(starts)
    for file in plan.files:
        begin, ends = at(file.start), at(file.end)
        assert (begin.hour, begin.minute, begin.second) == (0, 0, 0)
        if file.kind is FileKind.MONTH:
            assert begin.day == 1
            assert ends == first_of_next_month(begin)
            assert published(file) <= now
        else:
            assert ends - begin == timedelta(days=1)
            assert published(file) <= now
        assert not without.get(file.kind, EMPTY).intersect(span(file.start, file.end))
    # No whole day that a file could give is left to REST.
    for start, end in plan.rest:
        for day in range(-(-start // DAY_MS) * DAY_MS, end - DAY_MS + 1, DAY_MS):
            tried = without.get(FileKind.DAY, EMPTY).intersect(span(day, day + DAY_MS))
            assert tried or published(File(day, day + DAY_MS, FileKind.DAY)) > now


@given(coverages)
def test_pages_cover_the_ranges_and_none_is_longer_than_allowed(missing: Coverage) -> None:
    pages = rest_pages(missing, 499)
    assert Coverage(pages) == missing
    assert sum(end - start for start, end in pages) == missing.minutes * MINUTE_MS
    assert all(0 < end - start <= 499 * MINUTE_MS for start, end in pages)


@given(coverages)
def test_without_an_archive_all_is_read_by_rest(missing: Coverage) -> None:
    plan = make_plan(missing, now=ms("2026-01-01"), published=None, monthly_threshold_months=0)
    assert plan == Plan((), missing)


@pytest.mark.parametrize(
    ("start", "months", "shortest_end"),
    [
        ("2024-01-01", 1, "2024-02-01"),
        ("2024-02-01", 1, "2024-03-01"),  # 29 days
        ("2023-02-01", 1, "2023-03-01"),  # 28 days
        ("2024-01-31", 1, "2024-02-29"),
        ("2023-01-31", 1, "2023-02-28"),
        ("2024-03-31T12:00", 1, "2024-04-30T12:00"),
        ("2023-12-31", 2, "2024-02-29"),
        ("2023-11-15", 3, "2024-02-15"),
        ("2023-12-01", 3, "2024-03-01"),
        ("2024-01-30", 12, "2025-01-30"),
    ],
)
def test_monthly_files_are_used_from_the_threshold_on_and_not_a_minute_before(
    start: str, months: int, shortest_end: str
) -> None:
    def kinds(end: int) -> set[FileKind]:
        plan = planned(span(ms(start), end), now=ms("2026-01-01"), threshold=months)
        return {file.kind for file in plan.files}

    end = ms(shortest_end)
    assert FileKind.MONTH not in kinds(end - MINUTE_MS)
    first = at(ms(start) - 1).replace(hour=0, minute=0, second=0, microsecond=0)
    whole_month_inside = first_of_next_month(first_of_next_month(first)) <= at(end)
    assert (FileKind.MONTH in kinds(end)) == whole_month_inside


def test_a_threshold_of_zero_uses_monthly_files_for_any_whole_month() -> None:
    plan = planned(span(ms("2023-02-01"), ms("2023-03-01")), now=ms("2026-01-01"), threshold=0)
    assert [file.kind for file in plan.files] == [FileKind.MONTH]


def test_a_long_range_takes_days_then_months_then_days_then_pages() -> None:
    now = ms("2024-05-16T09:00")
    plan = planned(span(ms("2024-01-30T12:00"), ms("2024-05-16T08:59")), now=now, threshold=3)
    assert [(f.kind, at(f.start).strftime("%m-%d")) for f in plan.files] == [
        (FileKind.DAY, "01-31"),
        (FileKind.MONTH, "02-01"),
        (FileKind.MONTH, "03-01"),
        (FileKind.MONTH, "04-01"),
        *((FileKind.DAY, f"05-{day:02}") for day in range(1, 16)),
    ]
    assert plan.rest == Coverage(
        [
            (ms("2024-01-30T12:00"), ms("2024-01-31")),
            (ms("2024-05-16"), ms("2024-05-16T08:59")),
        ]
    )


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_months_are_those_of_utc_wherever_the_machine_is(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        plan = planned(span(ms("2024-01-30"), ms("2024-04-01")), now=ms("2024-05-01"), threshold=1)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [file.start for file in plan.files] == [
        ms(f"2024-{day}") for day in ("01-30", "01-31", "02-01", "03-01")
    ]


def test_what_a_monthly_file_lacked_is_planned_by_days_and_then_by_pages() -> None:
    hole = span(ms("2022-05-16"), ms("2022-05-18"))
    month = span(ms("2022-05-01"), ms("2022-06-01"))
    now = ms("2026-01-01")
    by_days = planned(hole, now=now, threshold=0, without={FileKind.MONTH: month})
    assert [file.kind for file in by_days.files] == [FileKind.DAY, FileKind.DAY]
    by_pages = planned(hole, now=now, threshold=0, without={FileKind.MONTH: month, FileKind.DAY: hole})
    assert by_pages.files == ()
    assert by_pages.rest == hole


def test_a_file_is_planned_from_the_moment_on_at_which_it_is_published() -> None:
    day = ms("2024-02-29")
    before = planned(span(day, day + DAY_MS), now=ms("2024-03-01T08:59"), threshold=3)
    after = planned(span(day, day + DAY_MS), now=ms("2024-03-01T09:00"), threshold=3)
    assert (before.files, before.rest) == ((), span(day, day + DAY_MS))
    assert len(after.files) == 1
    assert not after.rest


def test_one_missing_minute_is_one_page() -> None:
    minute = span(ms("2024-02-29T23:59"), ms("2024-03-01"))
    plan = planned(minute, now=ms("2024-03-01T00:01"), threshold=3)
    assert plan.files == ()
    assert rest_pages(plan.rest, 499) == [(minute.start, minute.end)]


def test_nothing_missing_is_nothing_to_do() -> None:
    plan = planned(EMPTY, now=ms("2024-01-01"), threshold=3)
    assert (plan.files, plan.rest) == ((), EMPTY)
