"""Names of counted events, and those they had before."""

from __future__ import annotations

import re

import pytest

from tui_feeder.engine.core.event_names import _PREVIOUS, event_name, event_text, previous_event_name


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("file candles", "rotations"), "file_candles_rotations"),
        (("rest", "refused by country (451)"), "rest_refused_by_country_451"),
        (("stream", "unreadable frame"), "stream_unreadable_frame"),
    ],
)
def test_varying_parts_are_put_into_snake_case(words: tuple[str, ...], name: str) -> None:
    assert event_name(*words) == name


@pytest.mark.parametrize(
    ("name", "previous"),
    [
        ("minutes_skipped", "minutes gone on without"),
        ("rest_empty_answer", "REST empty answer"),
        ("rest_requests", "REST requests"),
        ("stream_unreadable_frame", "stream: unreadable frame"),
        ("stream_unexpected_candle", "stream: not ours"),
        ("alert_webhook_queue_full", "alert webhook queue full"),
        ("kafka_messages", "Kafka messages"),
        ("kafka_candles_messages", "Kafka candles"),
        ("kafka_candles_messages_dropped", "kafka candles messages dropped"),
        ("kafka_refused_messages", "kafka refused a message"),
        ("postgres_failures", "postgres failures"),
        ("file_candles_rotations", "file candles rotations"),
        ("file_files_deleted", "file files deleted"),
        ("messages", None),
        ("something_new", None),
    ],
)
def test_an_event_is_known_by_its_previous_name(name: str, previous: str | None) -> None:
    assert previous_event_name(name) == previous


def test_names_are_snake_case_and_previous_ones_are_told_apart() -> None:
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name) for name in _PREVIOUS)
    assert len(set(_PREVIOUS.values())) == len(_PREVIOUS)


def test_a_name_is_written_in_words_for_the_log() -> None:
    assert event_text("rest_empty_answer") == "REST empty answer"
    assert event_text("listings_failed") == "listings failed"
