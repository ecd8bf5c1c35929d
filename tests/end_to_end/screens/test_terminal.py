"""The screen on a real pseudo-terminal: what is sent, and how the terminal is left."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest
from terminals import COLOUR, Picture, Terminal, unread

from tui_feeder.output_minimizer import OutputMinimizer
from tui_feeder.terminal import color_system, detect_symbol_set, signals, terminal_codec

STYLES = (
    "", "1", "2", "7", "1;38;2;1;2;3", "38;2;1;2;3", "38;2;1;2;3;48;2;9;9;9", "7;38;2;1;2;3;48;2;9;9;9",
    "38;5;12", "31", "97;44", "2;49", "1;39", "4;38;5;1",
)  # fmt: skip


def test_a_thrifty_frame_shows_the_same_picture_in_fewer_bytes() -> None:
    import random

    generator = random.Random(5)
    plain, thrifty, rewriter = Picture(), Picture(), OutputMinimizer(colors=True)
    sent = [0, 0]
    for _ in range(300):
        frame = ""
        for row in sorted(generator.sample(range(24), 6)):
            column = generator.randrange(40)
            frame += f"\x1b[{row + 1};{column + 1}H"
            for _ in range(generator.choice((1, 1, 1, 3))):
                style = generator.choice(STYLES)
                text = generator.choice(("  ", "abc", "▲ ", " 60.1", "币", "┈┈", "x"))
                frame += f"\x1b[{style}m{text}\x1b[0m" if style else text
            frame += "\n"
        frame += "\x1b[1;1H"
        short = rewriter.rewrite(frame)
        plain.feed(frame)
        thrifty.feed(short)
        sent[0] += len(frame)
        sent[1] += len(short)
        assert thrifty.cells == plain.cells
    assert sent[1] < sent[0] * 0.8


def test_without_colours_only_weight_is_sent() -> None:
    rewriter = OutputMinimizer(colors=False)
    sent = rewriter.rewrite("\x1b[1;1H\x1b[1;38;2;1;2;3;48;5;7mbold\x1b[0m\x1b[2;1H\x1b[31;49mplain\x1b[0m")
    assert not COLOUR.search(sent.encode())
    assert "\x1b[1mbold" in sent.replace("\x1b[0;1m", "\x1b[1m")


def test_another_screen_begins_and_ends_without_a_style() -> None:
    rewriter = OutputMinimizer(colors=True)
    rewriter.rewrite("\x1b[1;1H\x1b[7mx\x1b[0m")
    assert rewriter.rewrite("\x1b[?1049l").startswith("\x1b[0m")


@pytest.mark.parametrize(
    ("colors", "environ", "expected"),
    [
        ("auto", {"COLORTERM": "truecolor", "TERM": "xterm-256color"}, "truecolor"),
        ("auto", {"TERM": "xterm-256color"}, "256"),
        ("auto", {"TERM": "xterm"}, "standard"),
        ("auto", {"NO_COLOR": "1", "COLORTERM": "truecolor"}, None),
        ("256", {"NO_COLOR": "1"}, "256"),
        ("16", {}, "standard"),
        ("none", {"COLORTERM": "truecolor"}, None),
    ],
)
def test_colours_follow_the_setting_then_the_terminal(
    colors: str, environ: dict[str, str], expected: str | None
) -> None:
    assert color_system(colors, environ) == expected


@pytest.mark.parametrize(
    ("encoding", "term", "expected"),
    [("utf-8", "xterm", "braille"), ("UTF8", "xterm", "braille"), ("latin-1", "xterm", "ascii"),
     ("ascii", "xterm", "ascii"), ("utf-8", "linux", "ascii"), ("gb18030", "xterm", "braille"),
     ("koi8-r", "xterm", "ascii"), ("nonsense", "xterm", "ascii")],
)  # fmt: skip
def test_symbols_follow_the_encoding_of_the_terminal(encoding: str, term: str, expected: str) -> None:
    assert detect_symbol_set({"TERM": term}, encoding) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "ascii"),
        ({"LANG": "C"}, "ascii"),
        ({"LANG": "C.UTF-8"}, "utf-8"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, "ascii"),
        ({"LANG": "C", "LC_CTYPE": "de_DE.utf8"}, "utf-8"),
        ({"LC_CTYPE": "UTF-8"}, "utf-8"),
        ({"LANG": "de_DE@euro"}, "iso8859-15"),
        ({"LANG": "de_DE"}, "iso8859-1"),
        ({"LANG": "zh_CN.GB18030"}, "gb18030"),
        ({"LC_ALL": "nonsense"}, "ascii"),
        ({"LC_ALL": "xx_YY.nonsense"}, "ascii"),
        ({"LANG": "C", "PYTHONUTF8": "1"}, "utf-8"),
        ({"LANG": "C.UTF-8", "PYTHONIOENCODING": "ascii:replace"}, "ascii"),
    ],
)
def test_the_codec_of_the_terminal_is_what_the_locale_says(environ: dict[str, str], expected: str) -> None:
    assert terminal_codec(environ) == expected


async def test_signals_are_given_back() -> None:
    def mine(number: int, frame: object) -> None:
        raise AssertionError("not while the screen runs")

    before = signal.signal(signal.SIGTERM, mine)
    try:
        loop = asyncio.get_running_loop()
        got: asyncio.Future[int] = loop.create_future()
        with signals(loop, [signal.SIGTERM], got.set_result):
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.wait_for(got, 10) == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Any]:
    opened: list[Terminal] = []

    def opening(*arguments: str, **options: Any) -> Terminal:  # noqa: ANN401
        opened.append(Terminal(*arguments, **options))
        return opened[-1]

    yield opening
    for one in opened:
        one.close()


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGTERM, "signal"), (signal.SIGINT, "signal"), (signal.SIGHUP, "hangup")],
)
def test_a_signal_ends_the_app_and_restores_the_terminal(terminal: Any, number: int, reason: str) -> None:  # noqa: ANN401
    one = terminal()
    one.wait_for(b"quit")
    assert not termios.tcgetattr(one.slave)[3] & termios.ICANON
    os.kill(one.process.pid, number)
    code, said = one.end()
    assert (code, said) == (0, f"ended by {reason}, code 0\n")
    one.assert_restored()


def test_q_ends_the_app_and_restores_the_terminal(terminal: Any) -> None:  # noqa: ANN401
    one = terminal()
    one.wait_for(b"quit")
    one.leave()
    assert one.end() == (0, "ended by quit, code 0\n")
    one.assert_restored()


def test_keys_that_come_at_once_are_not_lost_between_list_and_screen(terminal: Any) -> None:  # noqa: ANN401
    one = terminal("--faults")
    one.wait_for(b"quit")
    one.send(b"F1")  # a slow line brings them together
    one.wait_for(b"on: cut")
    one.send(b"qq")
    assert one.end() == (0, "ended by quit, code 0\n")


def test_a_fault_in_the_screen_restores_the_terminal_and_tells(terminal: Any) -> None:  # noqa: ANN401
    one = terminal("--crash")
    one.wait_for(b"quit")
    one.send(b"-")  # narrower candles ask for more bars
    code, said = one.end()
    assert (code, said) == (1, "ended by None, code 1, RuntimeError('a fault in the screen')\n")
    one.assert_restored()
    assert b"Traceback" not in one.received  # it goes to the log; who runs the app tells of it


def test_a_terminal_that_is_gone_ends_the_app_instead_of_spinning(terminal: Any) -> None:  # noqa: ANN401
    one = terminal(controlling=False)  # no SIGHUP comes
    one.wait_for(b"quit")
    os.close(one.slave)
    os.close(one.master)
    one.master = one.slave = -1
    assert one.end() == (0, "ended by hangup, code 0\n")


def test_a_terminal_that_does_not_read_can_still_be_left(terminal: Any) -> None:  # noqa: ANN401
    one = terminal("--symbols", "60", "--changes", "20000", "--hz", "20", size=(200, 60))
    one.wait_for(b"quit")
    deadline = time.monotonic() + 60
    before, looks = -1, 0
    while looks < 4:  # its buffer is full: it has drawn before, and no more comes
        assert time.monotonic() < deadline
        time.sleep(0.2)
        waiting = unread(one.master)
        looks = looks + 1 if waiting == before and waiting > 1_000 else 0
        before = waiting
    os.kill(one.process.pid, signal.SIGTERM)
    one.process.wait(60)  # it does not hang on the terminal
    code, said = one.end()
    # Whether a tick was skipped before the buffer was full is a matter of the machine's load.
    assert (code, said.partition(",")[0]) == (0, "ended by signal")
    one.assert_restored(most=2)


def test_after_a_stall_the_picture_is_whole_again(terminal: Any) -> None:  # noqa: ANN401
    one = terminal("--symbols", "60", "--changes", "20000", "--hz", "20", size=(200, 60))
    one.wait_for(b"quit")
    deadline = time.monotonic() + 60
    while unread(one.master) < 1_000:  # nobody reads
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)
    one.send(b"f")
    one.wait_for(b"FROZEN")
    lines: list[str] = []
    while lines != (lines := rows_of(one)):  # until nothing more comes
        assert time.monotonic() < deadline
    one.received = b""
    one.send(b"tttttt")  # once round all themes: every cell is sent anew
    while (fresh := rows_of(one)) != lines and time.monotonic() < deadline:
        pass
    assert fresh == lines


def rows_of(one: Terminal) -> list[str]:
    """The rows below the first, which has the time, as they are half a second later."""
    one.read(0.5)
    seen = Picture().feed(one.received.decode(errors="ignore"))
    return [seen.line(row, 200) for row in range(1, 57)]


@pytest.mark.parametrize(("arguments", "environ"), [([], {"NO_COLOR": "1"}), (["--colors", "none"], {})])
def test_where_no_colour_is_wanted_none_is_sent(
    terminal: Any,  # noqa: ANN401
    arguments: list[str],
    environ: dict[str, str],
) -> None:
    one = terminal("--troubles", *arguments, **environ)
    one.wait_for(b"quit")
    one.read(0.3)
    one.send(b"?")
    one.wait_for(b"KEYS")
    one.leave()
    one.end()
    assert COLOUR.findall(one.received) == []
    selected = Picture().feed(one.received.split(b"KEYS")[0].decode()).cells[2, 2]
    assert selected == ("B", ("7",))  # the selection is there all the same


def test_a_terminal_that_is_not_utf_8_gets_ascii(terminal: Any) -> None:  # noqa: ANN401
    one = terminal("--troubles", PYTHONUTF8="0", PYTHONIOENCODING="latin-1")
    one.wait_for(b"quit")
    one.read(0.3)
    one.send(b"\x1b[B" * 8)  # to the symbol whose name is no ASCII
    one.read(1.0)
    one.send(b"?")
    one.wait_for(b"KEYS")
    one.leave()
    one.end()
    assert one.received.isascii()
    picture = Picture().feed(one.received.split(b"KEYS")[0].decode())
    assert picture.shows("BTCUSDT")
    assert picture.shows("> ????????U")


@pytest.mark.parametrize(("size", "budget"), [((80, 24), 4_000), ((120, 40), 6_000), ((200, 60), 10_000)])
def test_two_hundred_changes_a_second_stay_within_their_bytes(
    terminal: Any,  # noqa: ANN401
    size: tuple[int, int],
    budget: int,
) -> None:
    one = terminal("--hz", "4", "--changes", "200", size=size)
    one.wait_for(b"quit")
    one.read(0.5)
    sent = len(one.read(1.5)) / 1.5
    assert 500 < sent < budget


def test_an_idle_screen_sends_next_to_nothing(terminal: Any) -> None:  # noqa: ANN401
    one = terminal("--hz", "4", "--changes", "0")
    one.wait_for(b"quit")
    one.read(0.5)
    assert len(one.read(1.0)) <= 50


def test_buttons_drags_and_wheel_are_asked_for_and_given_back(terminal: Any) -> None:  # noqa: ANN401
    shown = terminal()
    shown.wait_for(b"quit")
    assert b"\x1b[?1002h" in shown.received
    assert b"\x1b[?1003h" not in shown.received  # every movement would be a message over ssh
    shown.send(b"\x1b[<0;5;5M\x1b[<0;5;5m")  # a press on the third row
    shown.wait_for(b"SOLUSDT 1h")
    shown.leave()
    assert shown.end()[0] == 0
    shown.assert_restored()
    assert b"\x1b[?1002l" in shown.received


def test_a_mouse_left_to_the_terminal_is_not_asked_for(terminal: Any) -> None:  # noqa: ANN401
    shown = terminal("--no-mouse")
    shown.wait_for(b"quit")
    shown.leave()
    assert shown.end()[0] == 0
    assert not re.search(rb"\x1b\[\?100[0236]h", shown.received)
