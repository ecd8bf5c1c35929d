"""Workers in a real consumer group: who gets what, when others die, and when the broker is away."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from feed import until
from msgspec.structs import replace
from services import Kafka as Broker

from tui_feeder.config import Kafka
from tui_feeder.engine.cluster import membership
from tui_feeder.engine.cluster.group import Worker
from tui_feeder.engine.cluster.membership import SESSION_SECONDS, Assignment, Membership
from tui_feeder.engine.cluster.partitions import assign
from tui_feeder.engine.cluster.topics import prepare, topics_of
from tui_feeder.engine.core.journal import Journal

PARTITIONS = 12


class Member:
    """A membership and what it was assigned."""

    def __init__(
        self, broker: Broker, name: str, started: int = 1, prefix: str = "", symbols: str = "all"
    ) -> None:
        config = replace(Kafka(), bootstrap_servers=(broker.servers,))
        self.assignments: list[Assignment] = []
        self.refusals: list[str] = []
        topics = topics_of(prefix, ["data"])
        worker = Worker(
            name, f"{name} {started}", started, topic=topics.work, partitions=PARTITIONS, symbols=symbols
        )
        self.membership = Membership(
            config, "feeder", topics, PARTITIONS, worker, self.assignments.append, self.refusals.append
        )

    @property
    def partitions(self) -> list[int]:
        return sorted(self.assignments[-1].partitions) if self.assignments else []


@contextlib.asynccontextmanager
async def joined(broker: Broker, *names: str) -> AsyncIterator[list[Member]]:
    members = [Member(broker, name) for name in names]
    for member in members:
        member.membership.start(Journal(lambda: 0))
    try:
        yield members
    finally:
        for member in members:
            await asyncio.to_thread(member.membership.close, 5.0)


def shares(*names: str) -> list[list[int]]:
    found = assign(names, PARTITIONS)
    return [found[name] for name in names]


@pytest.mark.timeout(120)
async def test_partitions_follow_those_who_come_and_leave(kafka: Broker) -> None:
    async with joined(kafka, "a") as (first,):
        await until(lambda: first.partitions == list(range(PARTITIONS)), 20)
        async with joined(kafka, "b", "c") as (second, third):
            whole = shares("a", "b", "c")
            await until(lambda: [m.partitions for m in (first, second, third)] == whole, 20)
            assert first.assignments[-1].answer.workers == 3
            assert first.assignments[-1].answer.sharing == 3
            await until(lambda: second.membership.heartbeats >= 2, 20)
            assert second.membership.heartbeat_age < 3
            assert second.membership.status() == "ok"
            # What is left of the group hears of an orderly leave with its next heartbeat.
            await asyncio.to_thread(second.membership.close, 5.0)
            left = time.monotonic()
            await until(lambda: [m.partitions for m in (first, third)] == shares("a", "c"), 20)
            assert time.monotonic() - left < 4
        generations = [one.generation for one in first.assignments]
        assert generations == list(range(generations[0], generations[0] + len(generations)))


@pytest.mark.timeout(120)
async def test_of_two_workers_of_one_name_the_later_gets_nothing_and_both_are_told(kafka: Broker) -> None:
    async with joined(kafka, "a") as (first,):
        await until(lambda: bool(first.partitions), 20)
        second = Member(kafka, "a", started=2)
        second.membership.start(Journal(lambda: 0))
        await until(lambda: bool(second.assignments), 20)
        assert second.partitions == []
        other = second.assignments[-1].answer.same_name
        assert other is not None
        assert other.instance == first.membership.me.instance
        await until(lambda: [one.started for one in first.assignments[-1].answer.later] == [2], 20)
        assert first.partitions == list(range(PARTITIONS))
        await asyncio.to_thread(second.membership.close, 5.0)


@pytest.mark.timeout(120)
async def test_a_broker_that_is_away_for_a_session_ends_the_hold(kafka: Broker) -> None:
    async with joined(kafka, "a") as (first,):
        await until(lambda: first.membership.heartbeats >= 1, 20)
        assert first.membership.holds
        before = first.assignments[-1]
        kafka.pause()
        paused = time.monotonic()
        await until(lambda: not first.membership.holds, 20)
        assert time.monotonic() - paused < SESSION_SECONDS + 2.5
        assert "nothing is published" in first.membership.status()
        kafka.resume()
        await until(lambda: first.membership.holds, 60)
        await until(lambda: first.partitions == list(range(PARTITIONS)), 60)
        # The group had let it go or not: that shows in the member id or the generation.
        after = first.assignments[-1]
        assert after == before or after.generation > before.generation


@pytest.mark.timeout(120)
async def test_who_is_killed_is_replaced_after_a_session(kafka: Broker) -> None:
    async with joined(kafka, "a") as (first,):
        await until(lambda: bool(first.partitions), 20)
        child = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", CHILD, kafka.servers])
        await until(lambda: first.partitions == shares("a", "b")[0], 30)
        child.kill()
        killed = time.monotonic()
        child.wait()
        await until(lambda: first.partitions == list(range(PARTITIONS)), 30)
        assert time.monotonic() - killed < SESSION_SECONDS + 4


CHILD = """
import asyncio, sys
from msgspec.structs import replace
from tui_feeder.config import Kafka
from tui_feeder.engine.cluster.group import Worker
from tui_feeder.engine.cluster.membership import Membership
from tui_feeder.engine.cluster.topics import topics_of
from tui_feeder.engine.core.journal import Journal
async def main():
    config = replace(Kafka(), bootstrap_servers=(sys.argv[1],))
    member = Membership(config, "feeder", topics_of("", ["data"]), 12, Worker("b", "b", 1), print, print)
    member.start(Journal(lambda: 0))
    await asyncio.sleep(100)
asyncio.run(main())
"""


@pytest.mark.timeout(120)
async def test_topics_of_other_partitions_are_refused_once_and_for_all(kafka: Broker) -> None:
    config = replace(Kafka(), bootstrap_servers=(kafka.servers,))
    await prepare(config, topics_of("", ["data"]), 3)
    async with joined(kafka, "a") as (first,):
        await until(lambda: bool(first.refusals), 20)
        assert first.refusals[0].startswith("cluster.partitions is 12, but the topic work has 3")
        assert first.assignments == []


@pytest.mark.timeout(120)
async def test_partitions_that_are_added_under_way_are_reported_and_change_nothing(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "TOPICS_SECONDS", 0.5)
    async with joined(kafka, "a") as (first,):
        await until(lambda: first.partitions == list(range(PARTITIONS)), 20)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
        await admin.start()
        await admin.create_partitions({topic: NewPartitions(PARTITIONS + 4) for topic in ("work", "data")})
        await admin.close()
        await until(lambda: "the topic work has 16, data has 16" in first.membership.status(), 20)
        async with joined(kafka, "b") as (second,):
            both = shares("a", "b")
            await until(lambda: [m.partitions for m in (first, second)] == both or second.refusals, 30)
            assert second.refusals[0].startswith("cluster.partitions is 12, but the topic work has 16")
            assert first.partitions == list(range(PARTITIONS))


@pytest.mark.timeout(120)
async def test_a_topic_that_is_deleted_under_way_is_reported(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "TOPICS_SECONDS", 0.5)
    async with joined(kafka, "a") as (first,):
        await until(lambda: first.membership.heartbeats >= 1, 20)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
        await admin.start()
        await admin.delete_topics(["state"])
        await admin.close()
        await until(lambda: "the topic state is not there any more" in first.membership.status(), 20)


@pytest.mark.timeout(120)
async def test_of_two_clusters_in_one_group_the_later_gets_nothing(kafka: Broker) -> None:
    async with joined(kafka, "a") as (first,):
        await until(lambda: first.partitions == list(range(PARTITIONS)), 20)
        other = Member(kafka, "b", started=0, prefix="other_")
        other.membership.start(Journal(lambda: 0))
        await until(lambda: bool(other.assignments), 20)
        assert other.partitions == []
        stranger = other.assignments[-1].answer.other_cluster
        assert stranger is not None
        assert (stranger.name, stranger.topic) == ("a", "work")
        assert first.partitions == list(range(PARTITIONS))
        await asyncio.to_thread(other.membership.close, 5.0)


@pytest.mark.timeout(120)
async def test_members_that_name_other_symbols_are_known(kafka: Broker) -> None:
    async with joined(kafka, "a", "b") as (first, second):
        await until(lambda: len(first.membership.members) == len(second.membership.members) == 2, 20)
        assert first.membership.differing == second.membership.differing == ()
        third = Member(kafka, "c", symbols="others")
        third.membership.start(Journal(lambda: 0))
        await until(lambda: first.membership.differing == ("c",), 20)
        await until(lambda: third.membership.differing == ("a", "b"), 20)
        await asyncio.to_thread(third.membership.close, 5.0)
