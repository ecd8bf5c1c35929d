"""How the leader divides partitions: by name, once for each name, and what each worker is told."""

from __future__ import annotations

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from msgspec import structs

from tui_feeder.engine.cluster.group import Answer, RendezvousAssignor, Worker, digest_of, divide, worker_of
from tui_feeder.engine.cluster.partitions import assign


class Topics:
    """Stands for aiokafka's knowledge of the cluster."""

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(12)) if topic == "work" else None


def worker(name: str, started: int = 1, pool: str = "") -> Worker:
    return Worker(name, f"{name}-{started}", started, f"http://{name}:8000", pool)


def test_each_worker_gets_what_follows_from_the_names_alone() -> None:
    members = {"m1": worker("a"), "m2": worker("b", pool="other"), "m3": worker("c")}
    found = divide(members, 12)
    shares = assign(["a", "b", "c"], 12)
    assert {member: share for member, (share, _) in found.items()} == {
        "m1": shares["a"], "m2": shares["b"], "m3": shares["c"],
    }  # fmt: skip
    assert found["m1"][1] == Answer(workers=3, sharing=2)
    assert found["m2"][1] == Answer(workers=3, sharing=1)


def test_of_one_name_the_first_works_and_both_are_told() -> None:
    early, late = worker("a", 1), worker("a", 2)
    found = divide({"m1": late, "m2": early, "m3": worker("b")}, 12)
    shares = assign(["a", "b"], 12)
    assert found["m2"] == (shares["a"], Answer(2, 2, None, (late,)))
    assert found["m1"] == ([], Answer(2, 2, early))


def test_one_that_works_already_goes_before_one_whose_clock_is_behind() -> None:
    there, late = worker("a", 5), worker("a", 2)
    found = divide({"m1": late, "m2": structs.replace(there, working=True)}, 4)
    assert [share for share, _ in found.values()] == [[], [0, 1, 2, 3]]


def test_a_worker_of_another_cluster_gets_nothing_and_learns_whose_group_it_is() -> None:
    ours = [structs.replace(worker(name, 2), topic="ta_work", working=True) for name in ("a", "b")]
    other = structs.replace(worker("a", 1), topic="tb_work")
    old = worker("c", 3)  # of a release that did not send its topic
    found = divide({"m1": ours[0], "m2": other, "m3": ours[1], "m4": old}, 12)
    shares = assign(["a", "b", "c"], 12)
    assert [share for share, _ in found.values()] == [shares["a"], [], shares["b"], shares["c"]]
    assert found["m2"][1] == Answer(3, other_cluster=ours[0])
    assert found["m1"][1] == Answer(3, 3), "nobody else is named like it"


def test_partitions_that_are_added_or_a_leader_of_another_cluster_change_nothing() -> None:
    """Topics knows of 12 partitions of ``work``, and of none of ``other``."""
    ours = structs.replace(worker("a"), topic="work", partitions=8, working=True)
    other = structs.replace(worker("b"), topic="other", partitions=5)
    for leader, topic in ((ours, "work"), (other, "other")):
        assignor = RendezvousAssignor(lambda leader=leader: leader, topic, lambda _: None)
        sent = {
            name: RendezvousAssignor(lambda one=one: one, one.topic, lambda _: None).metadata([one.topic])
            for name, one in (("m1", ours), ("m2", other))
        }
        found = assignor.assign(Topics(), sent)
        assert found["m1"].assignment == [("work", list(range(8)))]
        assert found["m2"].assignment == []


def test_the_order_of_symbols_in_the_configuration_does_not_matter() -> None:
    assert digest_of(["BTCUSDT", "ETH*"]) == digest_of(["ETH*", "BTCUSDT", "ETH*"]) != digest_of(["BTCUSDT"])


def test_what_the_leader_says_arrives_through_kafkas_own_structures() -> None:
    heard: list[Answer] = []
    mine = worker("a")
    assignor = RendezvousAssignor(lambda: mine, "work", heard.append)
    sent = ConsumerProtocolMemberMetadata.decode(assignor.metadata(["work"]).encode())
    assert worker_of(sent) == mine
    stranger = ConsumerProtocolMemberMetadata(1, ["work"], b"")
    found = assignor.assign(Topics(), {"m1": sent, "m2": stranger})
    assert found["m2"].assignment == []
    taken = ConsumerProtocolMemberAssignment.decode(found["m1"].encode())
    assert [one.partition for one in taken.partitions()] == list(range(12))
    assignor.on_assignment(taken)
    assert heard == [Answer(1, 1)]


def test_the_answer_to_a_worker_is_small_however_many_there_are() -> None:
    members = {f"m{n}": worker(f"worker-{n}") for n in range(1_000)}
    assignor = RendezvousAssignor(lambda: members["m0"], "work", lambda _: None)
    sent = {member: assignor.metadata(["work"]) for member in members}
    for member, one in members.items():
        sent[member] = RendezvousAssignor(
            lambda one=one: one,
            "work",
            lambda _: None,
        ).metadata(["work"])
    found = assignor.assign(Topics(), sent)
    whole = sum(len(one.encode()) + len(sent[member].encode()) for member, one in found.items())
    assert whole < 500_000  # of the broker's 1,048,588 for the group's record
