"""Whole feeders as workers of a cluster on a real Kafka: killed, paused or cut off they lose nothing.

All tests disturb one and the same cluster, beside which one feeder runs undisturbed; each checks everything
that was published so far. The exchange is twenty times as fast as a market, so that a minute takes three
seconds; the group, its sessions and the takeovers have their own speed.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka", reason="the reader needs confluent-kafka")

import confluent_kafka
from cluster_run import ClusterRun, Feeder, cluster_run, wait_until
from relaying import Relay
from services import Kafka as Broker
from services import Service
from starting import running

from tui_feeder.attach.client import AttachedMonitor
from tui_feeder.simulator.launch import ChildExchange, launch_blocking

# One process of pytest-xdist runs them all: the cluster is started once.
pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("cluster workers")]

SPEED = 20.0
#: A session of the group, and what is allowed for what follows it, seconds.
SESSION, TAKEOVER = 6.0, 9.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def exchange() -> Iterator[ChildExchange]:
    with launch_blocking(speed=SPEED) as made:
        yield made


@pytest.fixture(scope="module")
def to_broker() -> Iterator[Relay]:
    """Worker ``w3`` reaches the broker through this."""
    with Relay() as relay:
        yield relay


@pytest.fixture(scope="module")
def to_exchange(exchange: ChildExchange) -> Iterator[Relay]:
    """Worker ``w3`` reaches the exchange through this."""
    with Relay(port_of(exchange)) as relay:
        yield relay


@pytest.fixture(scope="module")
def broker(folder: Path, to_broker: Relay) -> Iterator[Service]:
    made = Broker(folder / "kafka", relay=to_broker.port)
    to_broker.target = made.relayed_port
    yield from running(made)


@pytest.fixture(scope="module")
def run(
    folder: Path, broker: Broker, exchange: ChildExchange, to_broker: Relay, to_exchange: Relay
) -> Iterator[ClusterRun]:
    with cluster_run(broker, exchange, folder, exchange.symbols) as made:
        made.start_undisturbed()
        urls = {"REST_URL": exchange.urls.rest_url, "STREAM_URL": exchange.urls.stream_url,
                "ARCHIVE_URL": exchange.urls.archive_url}  # fmt: skip
        relayed = {f"EXCHANGE__{key}": url.replace(f":{port_of(exchange)}", f":{to_exchange.port}")
                   for key, url in urls.items()}  # fmt: skip
        made.worker("w3", KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{to_broker.port}", **relayed)
        yield made


def port_of(exchange: ChildExchange) -> int:
    found = re.search(r":(\d+)", exchange.urls.rest_url.partition("//")[2])
    assert found is not None
    return int(found[1])


def cluster_status(worker: Feeder) -> tuple[int, str]:
    """What ``feeder-tui cluster status`` gives with a worker's configuration: exit code and output."""
    command = [sys.executable, "-m", "tui_feeder", "cluster", "status"]
    done = subprocess.run(command, env=os.environ | worker.environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_from_one_to_four_and_back_while_history_is_read(run: ClusterRun) -> None:
    run.worker("w1").start()
    for name in ("w2", "w3", "w4"):
        run.worker(name).start()
    run.wait_for_assignment("w1", "w2", "w3", "w4")
    run.have("w1")
    assert len(run.published_by("w1")) == len(run.reader.positions())
    assert run.check()["data"] >= len(run.symbols)


def test_one_that_is_killed_is_replaced_within_fifteen_seconds(run: ClusterRun) -> None:
    run.have("w1", "w2", "w3")
    orphans = run.published_by("w1")
    run.workers["w1"].kill()
    took = run.takeover_seconds(time.monotonic(), orphans, "w1")
    assert took < SESSION + TAKEOVER + run.minute_seconds
    run.check()


def test_one_that_is_stopped_hands_over_within_six_seconds(run: ClusterRun) -> None:
    run.have("w1", "w2", "w3")
    orphans = run.published_by("w2")
    stopped = time.monotonic()
    assert run.workers["w2"].stop() == 0
    assert run.takeover_seconds(stopped, orphans, "w2") < 6.0 + run.minute_seconds
    run.check()


def test_one_that_is_paused_longer_than_its_session_publishes_nothing_on_waking(
    run: ClusterRun, pause: float
) -> None:
    run.have("w1", "w2", "w3")
    paused, orphans = run.workers["w1"], run.published_by("w1")
    paused.send(signal.SIGSTOP)
    stopped = time.monotonic()
    run.takeover_seconds(stopped, orphans, "w1")
    time.sleep(max(0.0, pause - (time.monotonic() - stopped)))
    paused.send(signal.SIGCONT)
    run.have("w1", "w2", "w3")  # it has its partitions again
    run.check()
    assert "Traceback" not in paused.log
    for partition, batches in run.broker.epochs("ta_data").items():
        assert batches == sorted(batches), f"{partition}: a former owner wrote after a new one"


def test_one_that_is_cut_off_from_the_broker_is_refused_what_it_sent(
    run: ClusterRun, to_broker: Relay
) -> None:
    run.have("w1", "w2", "w3")
    cut, orphans = run.workers["w3"], run.published_by("w3")
    to_broker.cut()
    run.takeover_seconds(time.monotonic(), orphans, "w3")
    to_broker.restore()
    wait_until(lambda: "the broker refuses our producer" in cut.log, 30, run.logs)
    run.have("w1", "w2", "w3")
    run.check()


def test_one_that_is_cut_off_from_the_exchange_leaves_its_symbols_to_others(
    run: ClusterRun, to_exchange: Relay
) -> None:
    run.have("w1", "w2", "w3")
    orphans = run.published_by("w3")
    to_exchange.cut()
    run.takeover_seconds(time.monotonic(), orphans, "w3", 60)
    assert run.check()["alerts"] > 0
    to_exchange.restore()
    run.have("w1", "w2", "w3")


def test_one_whose_disk_is_full_leaves_its_symbols_to_others(run: ClusterRun) -> None:
    run.have("w1", "w2", "w3")
    full, orphans = run.workers["w2"], run.published_by("w2")
    with full.disk_full():
        run.takeover_seconds(time.monotonic(), orphans, "w2", 60)
        assert "disk full" in full.log
        run.check()
    run.have("w1", "w2", "w3")
    run.check()


def test_one_whose_receiver_of_alerts_hangs_says_so_and_hands_over_as_fast(run: ClusterRun) -> None:
    socket_path = run.folder / "hanging.sock"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        hanging = run.worker("hanging", ALERTS__WEBHOOK_URL=url, SERVICE__SOCKET=str(socket_path))
        run.have("w1", "w3", "hanging")
        with contextlib.closing(AttachedMonitor(socket_path)) as monitor:
            wait_until(lambda: "not handed over" in monitor.snapshot().receivers["webhook"].trouble, 60)
        orphans = run.published_by("hanging")
        stopped = time.monotonic()
        assert hanging.stop() == 0
        assert run.takeover_seconds(stopped, orphans, "hanging") < 6.0 + run.minute_seconds
    assert "alerts were not handed over when the time to stop was over" in hanging.log
    run.check()


@pytest.mark.parametrize("seconds", [-600, 600])
def test_one_whose_clock_is_wrong_publishes_what_the_others_would(run: ClusterRun, seconds: int) -> None:
    folder = Path(__file__).resolve().parents[1] / "support" / "wrong_clock"
    wrong = run.worker(f"clock{seconds}")
    wrong.environment |= {"PYTHONPATH": str(folder), "WRONG_CLOCK_SECONDS": str(seconds)}
    run.have("w1", wrong.name)
    orphans = run.published_by(wrong.name)
    run.check()
    wrong.kill()
    took = run.takeover_seconds(time.monotonic(), orphans, wrong.name)
    assert took < SESSION + TAKEOVER + run.minute_seconds
    run.check()


def test_records_of_others_in_the_topics_that_it_reads_change_nothing(
    run: ClusterRun, broker: Broker
) -> None:
    run.have("w1", "w2", "w3")
    orphans = run.published_by("w1")
    foreign = confluent_kafka.Producer({"bootstrap.servers": broker.servers})
    keys = [*run.symbols, *(f"{symbol} checkpoint" for symbol in run.symbols), "#position", "", b"\xff"]
    for partition in range(run.partitions):
        for key in keys:
            for value in (b"", b'{"symbol": "BTCUSDT", "timestamp": 1}', bytes(20_000)):
                foreign.produce("ta_state", value, key, partition)
                foreign.produce("ta_work", value, key, partition)
    assert foreign.flush(30) == 0
    run.workers["w1"].kill()
    took = run.takeover_seconds(time.monotonic(), orphans, "w1")
    assert took < SESSION + TAKEOVER + run.minute_seconds
    assert any("are of no feeder and are ignored" in run.workers[name].log for name in ("w2", "w3"))
    run.have("w1", "w2", "w3")
    run.check()
    code, text = cluster_status(run.workers["w1"])
    assert code == 0, text
    assert "group feeder: Stable, 3 workers, 8 partitions" in text
    assert "records that no feeder has written are ignored, such as" in text


def test_workers_that_name_other_symbols_are_reported(run: ClusterRun) -> None:
    run.have("w1", "w2")
    short = run.worker("short", APPLICATION__SYMBOLS=",".join(run.symbols[1:])).start()
    text = "other symbols than this worker's are configured in short: symbols may be without a worker"
    wait_until(lambda: text in run.workers["w1"].log and "configured in w1, w2" in short.log, 60, run.logs)
    assert "application.symbols differs between workers" in cluster_status(run.workers["w1"])[1]
    run.have("w1", "w2")  # what nobody worked on meanwhile is published now
    run.check()


@pytest.mark.timeout(900)
def test_a_broker_that_is_killed_and_started_gets_everything_once(
    run: ClusterRun, broker: Broker, outage: float
) -> None:
    run.have("w1", "w2", "w3")
    broker.kill()
    time.sleep(outage)
    broker.start()
    run.check(seconds=60 + outage)


def test_all_restarted_one_after_the_other_lose_nothing(run: ClusterRun) -> None:
    run.have("w1", "w2", "w3")
    for worker in [run.workers[name] for name in ("w1", "w2", "w3")]:
        assert worker.stop() == 0
        worker.start()
        run.wait_for_assignment("w1", "w2", "w3")
    run.check()


def test_those_that_are_killed_at_random_in_a_row_lose_nothing(run: ClusterRun, kills: int) -> None:
    names = ("w1", "w2", "w3", "w4")
    run.have(*names)
    draw = random.Random(16)
    for _ in range(kills):
        victim = run.workers[draw.choice(names)]
        victim.kill()
        time.sleep(draw.uniform(0.0, 9.0))  # less than a session, or more
        victim.start()
        time.sleep(draw.uniform(0.0, 5.0))
    run.wait_for_assignment(*names)
    run.check()


def test_of_one_name_the_later_ends_with_an_error_that_names_the_other(run: ClusterRun) -> None:
    run.have("w1")
    later = run.worker("second", CLUSTER__NAME="w1").start()
    assert later.process is not None
    assert later.process.wait(60) == 1
    assert "another worker of the group feeder is named w1: give each worker a cluster.name" in later.log
    wait_until(lambda: "another worker is named w1 too" in run.workers["w1"].log, 30)
    run.check()


def test_one_of_another_cluster_in_the_same_group_ends_with_an_error(run: ClusterRun) -> None:
    run.have("w1")
    stranger = run.worker("stranger", KAFKA__TOPIC_PREFIX="tb_").start()
    assert stranger.process is not None
    assert stranger.process.wait(60) == 1
    assert "the group feeder is that of another cluster, of the topic ta_work (worker w1)" in stranger.log
    run.check()


def test_topics_of_other_partitions_are_an_error_at_the_start(run: ClusterRun) -> None:
    run.have("w1")
    other = run.worker("other", CLUSTER__PARTITIONS="6").start()
    assert other.process is not None
    assert other.process.wait(60) == 1
    assert "cluster.partitions is 6, but the topic ta_work has 8" in other.log


def test_leaving_the_cluster_and_coming_back_repeats_and_loses_nothing(run: ClusterRun) -> None:
    run.have("w1")
    worker = run.workers["w1"]
    for enabled in ("false", "true"):
        assert worker.stop() == 0
        worker.environment["FEEDER_CLUSTER__ENABLED"] = enabled
        worker.start()
        run.check()
