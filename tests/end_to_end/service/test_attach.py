"""A feeder on a Unix socket: clients look in, come and go, and cannot harm it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from fake_monitor import NOON, FakeMonitor
from screens import settled

from tui_feeder import __version__
from tui_feeder.app import AttachedApp, UiSettings
from tui_feeder.attach.client import AttachedMonitor, AttachError, describe_feeder
from tui_feeder.attach.server import AttachServer
from tui_feeder.attach.sockets import (
    SocketError,
    choose_socket,
    default_socket_path,
    require_feeder,
    running_sockets,
)
from tui_feeder.attach.wire import (
    PROTOCOL,
    Decompressor,
    Difference,
    FlatSnapshot,
    Hello,
    Question,
    Refusal,
    Welcome,
    apply,
    difference,
    encode_frame,
)
from tui_feeder.monitor import MINUTE_MS, ConfiguredValue, ProfileView, RulesView, RuleView, Snapshot


@pytest.fixture
def monitor() -> FakeMonitor:
    return FakeMonitor(20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feeder.sock"


@pytest.fixture
def server(monitor: FakeMonitor, path: Path) -> Iterator[AttachServer]:
    one = AttachServer(monitor, path, "a feeder")
    yield one
    one.close()


def until(what: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


class Raw:
    """A client that says what it likes."""

    def __init__(self, path: Path) -> None:
        self._unpacking: Decompressor | None = None  # since its welcome
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))

    def hear(self) -> dict[str, object]:
        (length,) = struct.unpack("!I", self._exactly(4))
        body = self._exactly(length)
        told = msgspec.msgpack.decode(body if self._unpacking is None else self._unpacking.body(body))
        assert isinstance(told, dict)
        if told["type"] == "welcome":
            self._unpacking = Decompressor(1 << 24)
        return told

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def ended(self) -> bool:
        """Whether the feeder has closed, after whatever it said."""
        while self.socket.recv(65536):
            pass
        return True


def test_an_attached_screen_sees_what_one_in_the_process_sees(
    server: AttachServer, monitor: FakeMonitor, path: Path
) -> None:
    attached = AttachedMonitor(path)
    try:
        assert attached.snapshot().symbols == tuple(monitor.views.values())
        assert attached.welcome.pid == os.getpid()
        monitor.change("BTCUSDT", price=61_000.5)
        until(lambda: attached.snapshot().symbols[0].price == 61_000.5)
        for count, end in ((200, None), (40, NOON - 86_400_000)):
            here, there = (one.bars("BTCUSDT", 3600, count, end) for one in (monitor, attached))
            assert len(here)
            assert there.dtype == here.dtype
            assert there.tobytes() == here.tobytes()
            lines = zip(
                monitor.ema_lines("BTCUSDT", 3600, count, end),
                attached.ema_lines("BTCUSDT", 3600, count, end),
                strict=True,
            )
            assert all(np.array_equal(one, other, equal_nan=True) for one, other in lines)
        assert attached.open_bar("BTCUSDT", 3600).tobytes() == monitor.open_bar("BTCUSDT", 3600).tobytes()
        assert attached.profile("ETHUSDT") == monitor.profile("ETHUSDT")
        day = NOON - NOON % 86_400_000
        assert attached.profile("ETHUSDT", day - 90 * 86_400_000) is None
        asked = ("BTCUSDT", day, day + 600 * MINUTE_MS, 30)
        assert attached.coverage(*asked) == monitor.coverage(*asked)
        spans = ((day, day + 90 * MINUTE_MS), (day + 200 * MINUTE_MS, day + 300 * MINUTE_MS))
        assert attached.range_profile("BTCUSDT", spans) == monitor.range_profile("BTCUSDT", spans)
        assert attached.naked_pocs("BTCUSDT") == monitor.naked_pocs("BTCUSDT")
        assert attached.developing("BTCUSDT", day, 15) == monitor.developing("BTCUSDT", day, 15)
        assert attached.developing("BTCUSDT", day + 86_400_000, 15) is None
        asked_bars = ("BTCUSDT", 3_600, 8, 30, None)
        assert attached.footprint(*asked_bars) == monitor.footprint(*asked_bars)
        anchor = ("BTCUSDT", NOON - 40 * MINUTE_MS * 60, 3_600)
        assert attached.anchored(*anchor) == monitor.anchored(*anchor)
        assert attached.listed() == monitor.listed()
        attached.acknowledge(3)
        attached.acknowledge()
        attached.retry_gaps("BTCUSDT")
        attached.retry_gaps()
        attached.add_symbol("ADAUSDT")
        attached.drop_symbol("ETHUSDT")
        done = [
            "acknowledge 3",
            "acknowledge None",
            "retry BTCUSDT",
            "retry None",
            "add ADAUSDT",
            "drop ETHUSDT",
        ]
        changes = ("acknowledge", "retry", "add", "drop")
        until(lambda: [call for call in monitor.calls if call.split()[0] in changes] == done)
    finally:
        attached.close()


def test_days_minutes_and_digests_are_the_same_on_an_attached_screen(
    server: AttachServer, monitor: FakeMonitor, path: Path
) -> None:
    attached = AttachedMonitor(path)
    today = NOON // 86_400_000 * 86_400_000
    questions: list[Callable[[FakeMonitor | AttachedMonitor], object]] = [
        lambda asked: asked.days("BTCUSDT", today - 20 * 86_400_000, today + 86_400_000),
        lambda asked: asked.minute("BTCUSDT", NOON // 60_000 * 60_000 - 60_000),
        lambda asked: asked.noted_minutes("BTCUSDT", today),
        lambda asked: asked.digests("BTCUSDT", today - 5 * 86_400_000),
    ]
    try:
        for question in questions:
            until(lambda question=question: question(attached) == question(monitor) and question(monitor))
        assert attached.days("BTCUSDT", today, today + 99 * 86_400_000) == ()  # more than may be asked for
    finally:
        attached.close()


def test_rules_of_alerts_are_saved_by_the_feeder_and_its_answer_comes_back(
    monitor: FakeMonitor, path: Path
) -> None:
    server = AttachServer(monitor, path, "a feeder")
    attached = AttachedMonitor(path)
    try:
        keys = {"kind": "price_cross", "symbols": ("BTCUSDT",), "price": 1.5, "cooldown_seconds": 60}
        rule = RuleView("line", keys, "store")
        assert attached.save_rule(rule).result(10) == ""
        until(lambda: attached.snapshot().alert_rules.rules == (rule,))
        assert attached.delete_rule(rule).result(10) == ""
        until(lambda: attached.snapshot().alert_rules.rules == ())
        monitor.rule_fault = "config.toml cannot be written"
        assert attached.save_rule(rule, "line").result(10) == "config.toml cannot be written"
        assert monitor.calls[-1] == "save line in the store, for line"
        server.close()
        until(lambda: attached.snapshot().state == "lost")
        assert attached.save_rule(rule).result(10) == "the feeder does not answer"
    finally:
        server.close()
        attached.close()


async def test_attached_screens_have_alert_rules_details_and_the_configuration_of_the_feeder(
    monitor: FakeMonitor, path: Path
) -> None:
    monitor.rules = RulesView((RuleView("line", {"kind": "price_cross", "price": 1.5}, "store"),))
    values = (ConfiguredValue("application.symbols", '["BTCUSDT"]', "file /etc/feeder.toml:3"),)
    with contextlib.closing(AttachServer(monitor, path, "a feeder", configuration=values)):
        attached = AttachedMonitor(path)
        looks = UiSettings(symbol_set="braille", colors="truecolor")
        app = AttachedApp(attached, looks, configuration=attached.welcome.configuration)
        try:
            async with app.run_test(size=(104, 60)) as pilot:
                for keys, shown in (
                    (["enter"], "q90"),
                    (["enter"], "rule       line: price crosses 1.5"),
                    (["A"], "line  price crosses 1.5"),
                    (["c"], "application.symbols"),
                    (["F"], "faults can be injected on the own screen of a demo alone"),
                ):
                    await pilot.press(*keys)
                    text = "\n".join(await settled(pilot))
                    for _ in range(100):  # the feeder's answer may come a moment later
                        if shown in text:
                            break
                        await asyncio.sleep(0.02)
                        app.tick()
                        text = "\n".join(await settled(pilot))
                    assert shown in text
                    await pilot.press("escape")
        finally:
            attached.close()


class Stepping(FakeMonitor):
    """Takes a new snapshot when it is told to."""

    def step(self, price: float) -> Snapshot:
        self.change("ETHUSDT", price=price)
        self.kept = super().snapshot()
        return self.kept

    def snapshot(self) -> Snapshot:
        return self.kept


def test_who_is_in_step_and_who_has_missed_some_all_arrive_and_each_step_is_found_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[int | None, int]] = []

    def counted(before: FlatSnapshot | None, after: FlatSnapshot, age: float) -> Difference:
        found.append((before.snapshot.sequence if before is not None else None, after.snapshot.sequence))
        return difference(before, after, age)

    monkeypatch.setattr("tui_feeder.attach.server.difference", counted)
    monitor = Stepping(3)
    newest = monitor.step(1.0)
    with contextlib.closing(AttachServer(monitor, path, "a feeder")):
        clients = [Raw(path) for _ in range(5)]
        there: list[Snapshot | None] = [None] * 5
        for one in clients:
            one.socket.sendall(encode_frame(Hello(PROTOCOL, "x")))
            assert one.hear()["type"] == "welcome"
        for turn in range(40):
            for n, one in enumerate(clients):
                if turn % 3 and n == 4:
                    continue  # a slow one
                one.socket.sendall(encode_frame(Question(turn, "snapshot")))
                step = msgspec.convert(one.hear()["value"], Difference)
                assert 0.0 <= step.age < 60.0
                there[n] = apply(there[n], step, newest.taken_at)
                assert replace(there[n], taken_at=newest.taken_at) == newest
            newest = monitor.step(2.0 + turn)
        first = found[0][1]
        in_step = [(first + n, first + n + 1) for n in range(39)]
        by_three = [(first + n, first + n + 3) for n in range(0, 39, 3)]
        assert found[0] == (None, first)
        assert sorted(found[1:]) == sorted(in_step + by_three)


def test_bars_are_asked_for_again_when_a_minute_has_closed_and_not_before(
    server: AttachServer, monitor: FakeMonitor, path: Path
) -> None:
    attached = AttachedMonitor(path)
    try:
        asked = "bars BTCUSDT 300 50"
        for _ in range(20):
            attached.bars("BTCUSDT", 300, 50)
            time.sleep(0.01)
        assert monitor.calls.count(asked) == 1
        monitor.change("BTCUSDT", last_closed=NOON)
        until(lambda: attached.snapshot().symbols[0].last_closed == NOON)
        changed = monitor.change_bars("BTCUSDT", 300)
        until(lambda: attached.bars("BTCUSDT", 300, 50)["close"][-1] == changed)
        assert monitor.calls.count(asked) == 2
    finally:
        attached.close()


class SlowMonitor(FakeMonitor):
    """Whose profiles are not there before ``go`` is set."""

    def __init__(self) -> None:
        super().__init__(3)
        self.go = threading.Event()

    def profile(self, symbol: str, day: int | None = None) -> ProfileView | None:
        self.go.wait(10)
        return super().profile(symbol, day)


def test_an_answer_that_comes_late_makes_its_symbol_look_changed_so_that_screens_show_it(path: Path) -> None:
    monitor = SlowMonitor()
    server = AttachServer(monitor, path, "a feeder")
    attached = AttachedMonitor(path)
    try:

        def stored() -> dict[str, tuple[int, int]]:
            return {view.symbol: view.stored for view in attached.snapshot().symbols}

        before = stored()
        assert attached.profile("BTCUSDT") is None
        monitor.go.set()
        until(lambda: stored() != before)
        after = stored()
        assert {name for name in after if after[name] != before[name]} == {"BTCUSDT"}
        assert attached.profile("BTCUSDT") is not None
        assert sum(call.startswith("profile BTCUSDT") for call in monitor.calls) == 1  # asked for once
        assert stored() == after
        attached.profile("ETHUSDT")  # is there in time, or changes its own symbol alone
        assert stored()["BTCUSDT"] == after["BTCUSDT"]
    finally:
        attached.close()
        server.close()


def test_a_feeder_that_goes_is_shown_as_lost_and_found_again_when_it_is_back(
    monitor: FakeMonitor, path: Path
) -> None:
    first = AttachServer(monitor, path, "a feeder")
    attached = AttachedMonitor(path)
    try:
        first.close()
        until(lambda: attached.snapshot().state == "lost")
        assert "reconnecting" in attached.snapshot().events[-1].text
        lost = attached.snapshot().exchange_time
        until(lambda: attached.snapshot().exchange_time > lost + 100)  # ages grow
        started = time.monotonic()
        attached.bars("BTCUSDT", 900, 10)
        assert time.monotonic() - started < 2.0  # a screen never waits for one that is gone
        monitor.change("BTCUSDT", price=1.25)
        second = AttachServer(monitor, path, "a feeder")
        try:
            until(lambda: attached.snapshot().state == "live")
            assert attached.snapshot().symbols[0].price == 1.25
            until(lambda: len(attached.bars("BTCUSDT", 900, 10)) == 10)
        finally:
            second.close()
    finally:
        attached.close()


def test_the_socket_is_for_its_user_alone(server: AttachServer, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    if os.geteuid() != 0:
        pytest.skip("only root can try it as somebody else")
    path.parent.chmod(0o777)
    for folder in list(path.parents)[1:4]:
        folder.chmod(folder.stat().st_mode | 0o001)
    script = (
        "import os,socket; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"s=socket.socket(socket.AF_UNIX); s.connect({str(path)!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr
    path.chmod(0o666)  # somebody opened the file to all: the kernel still tells who asks
    script += "s.settimeout(10); print(s.recv(1000))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "belongs to another user" in done.stdout


@pytest.mark.parametrize("protocol", [1, PROTOCOL + 1])
def test_a_client_of_another_version_is_told_so(server: AttachServer, path: Path, protocol: int) -> None:
    raw = Raw(path)
    raw.socket.sendall(encode_frame(Hello(protocol, "99.0")))
    text = str(raw.hear()["text"])
    assert "99.0" in text
    assert __version__ in text
    assert "attach with the version that runs" in text
    assert raw.ended()


@contextlib.contextmanager
def saying(path: Path, *frames: bytes) -> Iterator[None]:
    """Something that listens, and says this to whoever comes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            with contextlib.suppress(OSError):
                one, _ = listener.accept()
                with one:
                    one.sendall(b"".join(frames))
                    one.settimeout(10)
                    while one.recv(65536):
                        pass

        talking = threading.Thread(target=answer)
        talking.start()
        yield
        talking.join()


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (
            [encode_frame(Refusal("this feeder is version 0.0 (protocol 1): restart it"))],
            "protocol 1.: restart it",
        ),
        ([encode_frame(Question(1, "snapshot"))], "Invalid value"),
        (
            [encode_frame(Welcome("0.1", 1, "")), encode_frame(Refusal("a word that is not packed"))],
            "not packed",
        ),
        ([encode_frame(Welcome("0.1", 1, "")), struct.pack("!I", 1 << 30)], "at most 16777216"),
    ],
    ids=["another version", "no feeder", "not packed", "too long"],
)
def test_what_is_no_feeder_of_this_version_is_left_with_the_reason(
    path: Path, frames: list[bytes], said: str
) -> None:
    with saying(path, *frames), pytest.raises(AttachError, match=said):
        AttachedMonitor(path)


def test_a_screen_of_fifty_symbols_of_which_most_move_gets_little_a_look(
    server: AttachServer, path: Path
) -> None:
    fifty = FakeMonitor(50)
    with contextlib.closing(AttachServer(fifty, path.with_name("fifty.sock"), "fifty")) as one:
        attached = AttachedMonitor(one.path)
        try:
            first, looks = attached.received, 20
            for look in range(1, looks + 1):
                for name, view in list(fifty.views.items())[:35]:
                    assert view.forming is not None
                    price = round(60.0 + look / 10, view.price_decimals)
                    forming = replace(view.forming, close=price, volume=1.5 + look)
                    fifty.change(name, price=price, last_frame=NOON + look, forming=forming)
                until(lambda price=price: attached.snapshot().symbols[34].price == price)
            assert attached.snapshot().symbols[:35] == tuple(fifty.views.values())[:35]
            assert first < 60_000
            assert attached.received - first < looks * 3 * 1_000  # a look may come thrice
        finally:
            attached.close()


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n" + bytes(70_000),
        struct.pack("!I", 3) + b"\xc1\xc1\xc1",
        struct.pack("!I", 0),
        encode_frame(Question(1, "snapshot")),
        encode_frame(Hello(PROTOCOL, "x")) + encode_frame(Hello(PROTOCOL, "x")),
    ],
    ids=["http", "garbage", "nothing", "no hello", "hello twice"],
)
def test_nonsense_ends_a_connection_and_nothing_else(server: AttachServer, path: Path, said: bytes) -> None:
    raw = Raw(path)
    raw.socket.sendall(said)
    raw.socket.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionResetError):  # it was still being written to
        assert raw.ended()
    AttachedMonitor(path).close()


@pytest.mark.parametrize(
    ("what", "args"),
    [
        ("bars", ("BTCUSDT", 61, 10, None)),
        ("bars", ("BTCUSDT", 60, 10_000_000, None)),
        ("bars", ("BTCUSDT", 60, -1, None)),
        ("bars", ("X" * 1000, 60, 1, None)),
        ("bars", (None, 60, 1, None)),
        ("bars", ()),
        ("coverage", ("BTCUSDT", 0, 60_000, 1000)),
        ("range_profile", ("BTCUSDT",)),
        ("range_profile", ("BTCUSDT", 0, 60_000, 60_000)),
        ("range_profile", ("BTCUSDT", 60_000, 0)),
        ("developing", ("BTCUSDT", 0, 0)),
        ("footprint", ("BTCUSDT", 3_600, 8, 1, None)),
        ("anchored", ("BTCUSDT", 0, 61, None)),
        ("coverage", ("BTCUSDT", 60_000, 0, 1)),
        ("coverage", ("BTCUSDT", 0, 1 << 45, 10)),
        ("profile", ("BTCUSDT", -1)),
        ("add_symbol", ("",)),
        ("__class__", ()),
        ("snapshot_all", ()),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_and_the_next_answered(
    server: AttachServer, path: Path, what: str, args: tuple[str | int | None, ...]
) -> None:
    raw = Raw(path)
    raw.socket.sendall(encode_frame(Hello(PROTOCOL, "x")) + encode_frame(Question(7, what, args)))
    assert raw.hear()["type"] == "welcome"
    refused = raw.hear()
    assert (refused["type"], refused["id"]) == ("refusal", 7)
    assert what in str(refused["text"])
    raw.socket.sendall(encode_frame(Question(8, "listed")))
    assert raw.hear()["id"] == 8


def test_one_that_never_reads_holds_up_nobody(server: AttachServer, path: Path) -> None:
    deaf = Raw(path)
    deaf.socket.sendall(encode_frame(Hello(PROTOCOL, "x")))
    deaf.socket.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while True:  # until the feeder stops taking questions whose answers are not read
            deaf.socket.sendall(encode_frame(Question(1, "bars", ("BTCUSDT", 60, 400, None))) * 50)
    attached = AttachedMonitor(path)
    assert len(attached.bars("BTCUSDT", 60, 400)) == 400
    attached.close()


def test_one_feeder_is_chosen_by_itself_of_two_one_must_be_named(
    monitor: FakeMonitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(SocketError, match="no feeder of this user runs"):
        choose_socket(None)
    first = AttachServer(monitor, default_socket_path(1001), "one")
    assert stat.S_IMODE(default_socket_path(1001).parent.stat().st_mode) == 0o700
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(default_socket_path(1002)))
    dead.close()
    assert choose_socket(None) == default_socket_path(1001)
    assert not default_socket_path(1002).exists()
    second = AttachServer(monitor, default_socket_path(1003), "two")
    assert set(running_sockets()) == {default_socket_path(1001), default_socket_path(1003)}
    with pytest.raises(SocketError, match="2 feeders run"):
        choose_socket(None)
    with pytest.raises(SocketError, match="another feeder listens"):
        AttachServer(monitor, default_socket_path(1003), "three")
    second.close()
    assert choose_socket(None) == default_socket_path(1001)
    first.close()
    assert not default_socket_path(1001).exists()


def test_a_folder_that_others_may_enter_is_refused(
    monitor: FakeMonitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "feeder-tui").mkdir(mode=0o755)
    with pytest.raises(SocketError, match="of this user alone"):
        AttachServer(monitor, default_socket_path(1), "one")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nobody.sock", "connection refused: no feeder listens there: start one, or name another socket"),
        ("file", "connection refused: no feeder listens there"),
        ("file/below.sock", "connection refused: no feeder listens there"),
        ("x" * 200, "AF_UNIX path too long"),
    ],
)
def test_where_no_feeder_listens_one_line_has_the_remedy(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AttachError, match=re.escape(f"{name}: {reason}")):
        AttachedMonitor(tmp_path / name)


def test_the_pages_need_a_feeder_at_their_socket(tmp_path: Path) -> None:
    with pytest.raises(SocketError, match=r"none\.sock: connection refused: no feeder listens there"):
        require_feeder(tmp_path / "none.sock")


def test_of_several_feeders_each_is_named_with_its_exchange_and_store(
    monkeypatch: pytest.MonkeyPatch, short_path: Path, monitor: FakeMonitor
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    with (
        contextlib.closing(AttachServer(monitor, default_socket_path(1001), "a simulated exchange, /one")),
        contextlib.closing(
            AttachServer(monitor, default_socket_path(1002), "https://fapi.binance.com, /two")
        ),
        pytest.raises(SocketError) as raised,
    ):
        choose_socket(None, describe_feeder)
    assert f"{default_socket_path(1001)}: a simulated exchange, /one" in str(raised.value)
    assert f"{default_socket_path(1002)}: https://fapi.binance.com, /two" in str(raised.value)
