"""Inputs that are almost right: what was meant, damaged in ways that hypothesis draws, for a given time."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Sequence

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

_NUMBER = re.compile(rb"-?\d+(\.\d+)?")
#: What stands in for a number or a text: the edges of every type it may be put into.
_ODD = (
    b"", b"0", b"-0", b"-1", b"1e999", b"-1e308", b"1e-400", b"NaN", b"Infinity", b"null", b"true",
    b"[]", b"{}", b"9223372036854775807", b"9223372036854775808",
    b"18446744073709551616", b"-9223372036854775809",
    b"9" * 400, b"9" * 5_000, b"0x10", b"1_000", b"\xff\xfe", b"\x00", b"%00", b"../" * 20, b"[" * 3_000,
    "٣".encode(), b'"', b"\\u0000", b"\\ud800",
)  # fmt: skip
_EXAMPLES = 100


@st.composite
def damaged(draw: st.DrawFn, valid: Sequence[bytes]) -> bytes:
    """One of ``valid`` with up to four damages; now and then none, or bytes of no sense at all."""
    content = draw(st.sampled_from(valid) | st.binary(max_size=300))
    for _ in range(draw(st.integers(0, 4))):
        low = draw(st.integers(0, len(content)))
        high = min(len(content), low + draw(st.integers(0, 40)))
        numbers = [found.span() for found in _NUMBER.finditer(content)]
        match draw(st.sampled_from(["number", "number", "flip", "drop", "repeat", "insert", "cut"])):
            case "number" if numbers:
                start, end = draw(st.sampled_from(numbers))
                content = content[:start] + draw(st.sampled_from(_ODD)) + content[end:]
            case "flip" if low < len(content):
                content = (
                    content[:low] + bytes([content[low] ^ draw(st.integers(1, 255))]) + content[low + 1 :]
                )
            case "drop":
                content = content[:low] + content[high:]
            case "repeat":
                content = content[:high] + content[low:high] * draw(st.integers(1, 50)) + content[high:]
            case "insert":
                content = content[:low] + draw(st.binary(max_size=20) | st.sampled_from(_ODD)) + content[low:]
            case _:
                content = content[:low]
    return content


def fuzz(seconds: float, valid: Sequence[bytes], take: Callable[[bytes], object]) -> int:
    """Give ``take`` damaged inputs for ``seconds``; how many. What it raises ends it."""
    until, count = time.monotonic() + seconds, 0

    def one(content: bytes) -> None:
        nonlocal count
        count += 1
        take(content)

    for number in itertools.count():
        if time.monotonic() >= until:
            return count
        test = given(damaged(valid))(one)
        settled = settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # to make what failed small can take minutes
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(settled(test))()
    raise AssertionError("unreachable")
