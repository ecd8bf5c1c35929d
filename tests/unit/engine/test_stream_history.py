"""What is kept of the streams of the last hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from tui_feeder.engine.exchanges.base import StreamSocket
from tui_feeder.engine.stream_history import StreamHistory
from tui_feeder.monitor import StreamMinute


@dataclass
class Socket:
    """As much of a socket as is sampled."""

    rate: float
    latency_ms: float | None
    state: str = "live"

    def frames_per_second(self) -> float:
        return self.rate


def history_of(sockets: list[Socket]) -> StreamHistory:
    return StreamHistory(lambda: cast(list[StreamSocket], sockets))


def test_a_minute_has_the_mean_rate_of_all_sockets_and_the_greatest_latency_of_one() -> None:
    sockets = [Socket(10.0, 40.0), Socket(20.0, 55.0)]
    history = history_of(sockets)
    history.sample(1000.0)
    assert history.minutes == ()
    sockets[0].rate, sockets[1].latency_ms = 40.0, 700.25
    history.sample(1001.0)
    sockets[1].latency_ms = 60.0
    history.sample(1060.0)  # begins the next minute
    assert history.minutes == (StreamMinute(45.0, 700.2),)


def test_a_socket_that_is_not_live_counts_for_nothing() -> None:
    sockets = [Socket(10.0, 40.0), Socket(20.0, 900.0, "backing off")]
    history = history_of(sockets)
    history.sample(0.0)
    sockets[0].state = "silent"
    history.sample(61.0)
    history.sample(122.0)
    assert history.minutes == (StreamMinute(10.0, 40.0), StreamMinute(0.0, None))


def test_an_hour_is_kept_and_stays_the_same_object_between_minutes() -> None:
    history = history_of([Socket(1.0, 1.0)])
    for minute in range(100):
        history.sample(minute * 60.0)
    assert len(history.minutes) == 60
    before = history.minutes
    history.sample(99 * 60.0 + 1)
    assert history.minutes is before
