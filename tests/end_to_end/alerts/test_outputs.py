"""The manager and what it calls: real sockets, real programs, a real outbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest
from feed import NOON, until
from msgspec.structs import replace
from webhooks import Receiver, receiving

from tui_feeder.config import Alerts, Config
from tui_feeder.engine.alerts import outputs
from tui_feeder.engine.alerts.level_history import StoredLevelHistory
from tui_feeder.engine.alerts.manager import AlertManager, Output, encode
from tui_feeder.engine.alerts.outputs import Program, Topic, Webhook
from tui_feeder.engine.alerts.rule_checks import AlertRules
from tui_feeder.engine.alerts.rules import Alert, Health, Rule
from tui_feeder.engine.alerts.state_store import AlertStateStore
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.storage.store import Store

ALERT = Alert(
    "gap", "gap_open", "币安人生USDT", NOON, "late", "币安人生USDT: 3 minutes missing", 301.5, 300.0
)


@contextlib.asynccontextmanager
async def working(*outputs: Output) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(output.run()) for output in outputs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def settings(webhook_retries: int = 3) -> Alerts:
    return replace(Alerts(), webhook_timeout_seconds=2.0, webhook_retries=webhook_retries)


def told(journal: Journal) -> str:
    return "\n".join(event.text for event in journal.events)


async def test_a_webhook_is_posted_the_alert_as_json() -> None:
    receiver, journal = Receiver(), Journal(lambda: NOON)
    async with receiving(receiver) as url:
        hook = Webhook(url, settings(), journal)
        async with working(hook):
            hook.send(ALERT, encode(ALERT))
            await until(lambda: journal.counters["alert_webhook_sent"])
    assert receiver.bodies == [
        {
            "rule": "gap", "kind": "gap_open", "symbol": "币安人生USDT", "timestamp": NOON,
            "condition": "late", "text": "币安人生USDT: 3 minutes missing",
            "value": 301.5, "threshold": 300.0,
        }
    ]  # fmt: skip
    assert receiver.headers[0]["Content-Type"] == "application/json"


async def test_a_receiver_in_trouble_is_asked_again_and_one_that_refuses_is_not() -> None:
    journal = Journal(lambda: NOON)
    receiver = Receiver(503, 429)
    async with receiving(receiver) as url:
        hook = Webhook(url, settings(), journal)
        async with working(hook):
            hook.send(ALERT, encode(ALERT))
            await until(lambda: journal.counters["alert_webhook_sent"])
            assert len(receiver.bodies) == 3
            receiver.answers = [404, 302]
            for _ in range(2):
                hook.send(ALERT, encode(ALERT))
            await until(lambda: journal.counters["alert_webhook_failed"] == 2)
    assert len(receiver.bodies) == 5
    assert "the receiver answers 404" in told(journal)


async def test_a_receiver_that_is_slow_or_away_is_given_up_and_its_address_never_told() -> None:
    journal = Journal(lambda: NOON)
    receiver = Receiver()
    receiver.hold = 3.0
    async with receiving(receiver) as url:
        slow = Webhook(url, replace(settings(webhook_retries=0), webhook_timeout_seconds=0.3), journal)
        async with working(slow):
            slow.send(ALERT, encode(ALERT))
            await until(lambda: journal.counters["alert_webhook_failed"] == 1)
        receiver.hold = 0.0
    away = Webhook(url, settings(webhook_retries=1), journal)
    async with working(away):
        away.send(ALERT, encode(ALERT))
        await until(lambda: journal.counters["alert_webhook_failed"] == 2)
    assert "no answer within 0.3 s" in told(journal)
    assert "s3cret" not in told(journal)


async def test_a_receiver_that_hangs_is_in_trouble_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_SLOW_SECONDS", 0.2)
    receiver, journal = Receiver(), Journal(lambda: NOON)
    receiver.hold = 3.0
    async with receiving(receiver) as url:
        hook = Webhook(url, replace(settings(webhook_retries=0), webhook_timeout_seconds=0.6), journal)
        assert hook.trouble == ""
        async with working(hook):
            for _ in range(2):
                hook.send(ALERT, encode(ALERT))
            await until(lambda: "an alert is not handed over for 0 s, 2 wait" in hook.trouble)
            await until(lambda: journal.counters["alert_webhook_failed"] == 2)
            await until(lambda: hook.trouble == "the last alert was not handed over: no answer within 0.6 s")
            receiver.hold = 0.0
            hook.send(ALERT, encode(ALERT))
            await until(lambda: journal.counters["alert_webhook_sent"] == 1)
            assert hook.trouble == ""


async def test_a_certificate_that_nobody_vouches_for_gets_no_alert(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("a certificate is made with openssl, which is not here")
    pem = tmp_path / "pem"
    await asyncio.to_thread(
        subprocess.run,
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2",
         "-keyout", str(pem), "-out", str(tmp_path / "cert")],
        check=True, capture_output=True,
    )  # fmt: skip
    pem.write_bytes(pem.read_bytes() + (tmp_path / "cert").read_bytes())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    receiver, journal = Receiver(), Journal(lambda: NOON)
    async with receiving(receiver, tls) as url:
        hook = Webhook(url, settings(), journal)
        async with working(hook):
            hook.send(ALERT, encode(ALERT))
            await until(lambda: journal.counters["alert_webhook_failed"])
    assert "certificate" in told(journal)
    assert not receiver.bodies


async def test_what_waits_for_a_receiver_is_bounded_and_the_newest_kept() -> None:
    receiver, journal = Receiver(), Journal(lambda: NOON)
    async with receiving(receiver) as url:
        hook = Webhook(url, settings(), journal)
        for n in range(130):
            one = Alert("x", "gap_open", "BTCUSDT", n, "late", "t")
            hook.send(one, encode(one))
        assert journal.counters["alert_webhook_queue_full"] == 30
        async with working(hook):
            await until(lambda: journal.counters["alert_webhook_sent"] == 100)
    assert [body["timestamp"] for body in receiver.bodies] == list(range(30, 130))


SCRIPT = """import json, os, sys, time
alert = json.load(sys.stdin)
alert["argv"], alert["env"] = sys.argv[1:], [k for k in os.environ if k.startswith("FEEDER_")]
open(os.path.join({folder!r}, str(alert["timestamp"])), "w").write(json.dumps(alert))
time.sleep({sleep})
sys.exit({code})
"""


def script(folder: Path, *, sleep: float = 0.0, code: int = 0) -> list[str]:
    (folder / "out").mkdir(exist_ok=True)
    (folder / "notify.py").write_text(SCRIPT.format(folder=str(folder / "out"), sleep=sleep, code=code))
    return [sys.executable, str(folder / "notify.py")]


def written(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(one.read_text()) for one in sorted((folder / "out").iterdir()) if one.stat().st_size]


async def test_a_program_gets_the_text_as_one_argument_and_the_json_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEEDER_DATABASE__PASSWORD", "hunter2")
    journal = Journal(lambda: NOON)
    nasty = Alert("x", "gap_open", "BTCUSDT", NOON, "late", "$(touch pwned); `id` 'a b' \"c\" | d & {symbol}")
    program = Program([*script(tmp_path), "--title={text}", "$HOME", "{text}"], 20.0, journal)
    async with working(program):
        program.send(nasty, encode(nasty))
        await until(lambda: journal.counters["alert_command_run"])
    (got,) = written(tmp_path)
    assert got["argv"] == [f"--title={nasty.text}", "$HOME", nasty.text]
    assert got["text"] == nasty.text
    assert got["env"] == []


async def test_a_program_that_fails_hangs_or_is_not_there_is_told_and_stops_nothing(tmp_path: Path) -> None:
    journal = Journal(lambda: NOON)
    failing = Program(script(tmp_path, code=7), 20.0, journal)
    absent = Program([str(tmp_path / "absent")], 20.0, journal)
    async with working(failing, absent):
        failing.send(ALERT, encode(ALERT))
        absent.send(ALERT, encode(ALERT))
        await until(lambda: journal.counters["alert_command_failed"] == 2)
    hanging = Program(script(tmp_path, sleep=600), 1.5, journal)
    async with working(hanging):
        began = time.monotonic()
        hanging.send(ALERT, encode(ALERT))
        await until(lambda: journal.counters["alert_command_failed"] == 3)
        assert time.monotonic() - began < 30


async def test_programs_run_two_at_a_time_and_none_outlives_the_feeder(tmp_path: Path) -> None:
    journal = Journal(lambda: NOON)
    program = Program(script(tmp_path, sleep=600), 600.0, journal)
    async with working(program):
        for n in range(6):
            one = Alert("x", "gap_open", "BTCUSDT", NOON + n, "late", "t")
            program.send(one, encode(one))
        await until(lambda: len(list((tmp_path / "out").iterdir())) == 2)
        await asyncio.sleep(0.3)
        assert len(list((tmp_path / "out").iterdir())) == 2

    def alive() -> list[str]:
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if str(tmp_path / "notify.py").encode() in entry.read_bytes():
                    found.append(entry.parent.name)
        return found

    await until(lambda: not alive(), why="a program was left behind")


async def test_alerts_wait_in_the_outbox_of_their_topic(tmp_path: Path) -> None:
    store = await asyncio.to_thread(Store, tmp_path, exchange="a test")
    journal = Journal(lambda: NOON)
    try:
        nobody = Topic(store.send, journal)
        async with working(nobody):
            nobody.send(ALERT, encode(ALERT))
            await until(lambda: journal.counters["alert_topic_failed"])
        outbox = await asyncio.to_thread(store.open_outbox, ["kafka"], 10, "alerts")
        topic = Topic(store.send, journal)
        async with working(topic):
            topic.send(ALERT, encode(ALERT))
            await until(lambda: journal.counters["alert_topic_queued"])
        (waiting,) = outbox.read_after(0, 10_000)
    finally:
        await asyncio.to_thread(store.close)
    assert (waiting.symbol, waiting.timestamp, waiting.payload) == (ALERT.symbol, NOON, encode(ALERT))


async def test_alerts_that_wait_for_a_full_disk_have_a_bound_and_the_newest_are_kept() -> None:
    journal, posted, paused = Journal(lambda: NOON), list[tuple[int, Future[bool]]](), True

    def post(_topic: str, _key: str, timestamp: int, _payload: bytes) -> Future[bool]:
        future: Future[bool] = Future()
        if paused:
            posted.append((timestamp, future))
        else:
            future.set_result(True)
        return future

    topic = Topic(post, journal, lambda: paused)
    async with working(topic):
        for n in range(10):
            topic.send(msgspec.structs.replace(ALERT, at=n), b"{}")
        await until(lambda: len(posted) == 10)
        for n in range(10, 5_000):
            topic.send(msgspec.structs.replace(ALERT, at=n), b"{}")
        await asyncio.sleep(0.1)
        assert len(posted) == 10
        assert topic.waiting == 1_010
        assert journal.counters["alert_topic_queue_full"] == 3_990
        assert "alert topic queue full: the oldest alert was let go" in told(journal)
        paused = False
        for _, future in posted:
            future.set_result(True)
        await until(lambda: not topic.waiting)
    assert journal.counters["alert_topic_queued"] == 1_010


class Noted:
    name = "noted"

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def send(self, alert: Alert, payload: bytes) -> None:
        assert json.loads(payload)["text"] == alert.text
        self.alerts.append(alert)

    async def run(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(Store(tmp_path, exchange="a test")) as opened:
        yield opened


def manager(
    rules: Sequence[Rule], output: Noted, store: Store, *, publishes_past: bool = False
) -> tuple[AlertManager, Journal, ExchangeClock]:
    clock = ExchangeClock()
    journal = Journal(clock.now)
    state_store = AlertStateStore(store, Config(), journal)
    return (
        AlertManager(
            AlertRules(rules, None),
            [output],
            journal,
            clock,
            state_store,
            StoredLevelHistory(store, Config()),
            bell=True,
            publishes_past=publishes_past,
        ),
        journal,
        clock,
    )


async def test_the_desk_logs_keeps_and_passes_on_and_can_be_told_that_somebody_saw(store: Store) -> None:
    output = Noted()
    made, journal, clock = manager([Rule("late", "sink_lag", seconds=10, cooldown_ms=0)], output, store)
    health = Health(clock.now(), lags={"kafka": 11.0, "postgres": 12.0})
    watching = asyncio.create_task(made.watch(lambda: health))
    await until(lambda: len(made.recent) == 2)
    watching.cancel()
    assert [view.acknowledged for view in made.recent] == [False, False]
    assert [view.rings for view in made.recent] == [True, True]
    assert len(output.alerts) == 2
    assert "alert late: kafka: the oldest message waits for 11 s" in told(journal)
    made.acknowledge(made.recent[1].number)
    assert [view.acknowledged for view in made.recent] == [False, True]
    made.acknowledge()
    assert [view.acknowledged for view in made.recent] == [True, True]


async def test_alerts_about_the_past_are_kept_and_call_nobody(store: Store) -> None:
    output = Noted()
    made, journal, clock = manager([Rule("late", "sink_lag", seconds=10, cooldown_ms=0)], output, store)
    health = Health(clock.now() - 3_600_000, lags={"kafka": 11.0})
    watching = asyncio.create_task(made.watch(lambda: health))
    await until(lambda: made.recent)
    watching.cancel()
    assert not made.recent[0].rings
    assert not output.alerts
    assert journal.counters["past_alerts_not_sent"] == 1


@pytest.mark.parametrize(("name", "sent"), [("topic", 1), ("webhook", 0)])
async def test_the_topic_of_a_cluster_gets_alerts_about_the_past(store: Store, name: str, sent: int) -> None:
    output = Noted()
    output.name = name
    rules = [Rule("late", "sink_lag", seconds=10, cooldown_ms=0)]
    made, journal, clock = manager(rules, output, store, publishes_past=True)
    health = Health(clock.now() - 3_600_000, lags={"kafka": 11.0})
    watching = asyncio.create_task(made.watch(lambda: health))
    await until(lambda: made.recent)
    watching.cancel()
    assert len(output.alerts) == sent
    assert journal.counters["past_alerts_not_sent"] == 1 - sent
