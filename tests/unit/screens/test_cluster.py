"""Screen 7: what a worker of a cluster shows of it, and that a feeder by itself has no such screen."""

from __future__ import annotations

from dataclasses import replace

from fake_monitor import FakeMonitor, clustered
from screens import app_of, settled

from tui_feeder.monitor import ClusterView, ReceiverView


def view(monitor: FakeMonitor) -> ClusterView:
    assert monitor.cluster is not None
    return monitor.cluster


async def shown(monitor: FakeMonitor, size: tuple[int, int] = (80, 24)) -> str:
    app = app_of(monitor)
    async with app.run_test(size=size) as pilot:
        await pilot.press("7")
        return "\n".join(await settled(pilot))


async def test_workers_partitions_and_takeovers_are_shown() -> None:
    text = await shown(clustered(FakeMonitor(12)))
    for expected in (
        "feeder-1, group feeder", "0.4 s ago", "3 of 8 partitions, all published in",
        "one of 3 that share", "feeder-2", "http://feeder-3:8000", "this one", "2.4", "7Cluster",
    ):  # fmt: skip
        assert expected in text
    rows = [line.split() for line in text.splitlines() if line.startswith("  feeder-")]
    assert [(row[0], row[2:5]) for row in rows] == [
        ("feeder-1", ["3", "5", "http://feeder-1:8000"]),
        ("feeder-2", ["3", "4", "no"]),
        ("feeder-3", ["2", "3", "http://feeder-3:8000"]),
    ]


WRONG: tuple[tuple[dict[str, object], str], ...] = (
    ({"holds": False, "heartbeat_age": 8.2}, "none for 8 s: nothing is published"),
    ({"heartbeat_age": None}, "the group has not answered yet"),
    ({"assigned": 5}, "5 of 8 partitions, 2 are being taken over"),
    ({"fenced": 3}, "3 by the broker"),
    ({"other_lists": ("feeder-3",)}, "other ones are configured in feeder-3"),
    ({"topics_wrong": "cluster.partitions is 8, but the topic ta_work has 12"}, "the topic ta_work has 12"),
    ({"differing": 2}, "2 symbols whose numbers were others"),
    ({"inherited": 12_000}, "12,000 minutes of symbols that were taken over"),
    ({"workers": ()}, "the broker has not described the group"),
    ({"takeovers": ()}, "none yet"),
    ({"owned": (), "assigned": 0}, "0 of 8 partitions"),
)


async def test_what_is_wrong_is_shown() -> None:
    monitor = clustered(FakeMonitor(12))
    right = view(monitor)
    app = app_of(monitor)
    async with app.run_test(size=(80, 40)) as pilot:
        await pilot.press("7")
        for change, expected in WRONG:
            assert expected not in "\n".join(await settled(pilot))
            monitor.cluster = replace(right, **change)
            app.tick()
            await pilot.press("1", "7")  # by itself a list is drawn again once a second
            assert expected in "\n".join(await settled(pilot))


async def test_a_receiver_of_alerts_that_hangs_is_shown() -> None:
    monitor = clustered(FakeMonitor(12))
    assert "alerts" not in await shown(monitor)
    trouble = "an alert is not handed over for 12 s, 4 wait"
    monitor.receivers = {"webhook": ReceiverView(4, trouble), "command": ReceiverView(0, "")}
    text = await shown(monitor)
    assert f"webhook: {trouble}" in text
    assert "command" not in text


async def test_a_feeder_by_itself_has_no_such_key() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.press("7")
        lines = await settled(pilot)
        assert app.current_mode == "overview"
        assert "7 Cluster" not in lines[-1]
    async with app_of(FakeMonitor(12)).run_test(size=(80, 24)) as pilot:
        await pilot.press("7")
        assert (
            "cluster.enabled = true makes this feeder a worker (docs/cluster.md)"
            in (await settled(pilot))[-1]
        )


async def test_the_key_appears_once_the_feeder_is_known_to_be_a_worker() -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor)
    async with app.run_test(size=(120, 24)) as pilot:
        clustered(monitor)
        app.tick()
        assert "7 Cluster" in (await settled(pilot))[-1]
