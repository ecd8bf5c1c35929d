"""How the engine's threads share the interpreter."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor

#: With Python's own 5 ms, a loop that competes with a parsing and a writing thread waits 15 to 50 ms for
#: its turn (measured while months are read); with half a one 15 to 20, at no cost in candles a second.
_TURN_SECONDS = 0.0005


def working_thread() -> ThreadPoolExecutor:
    """The one thread that parses and computes in bulk: two of them are slower than one.

    Also shortens the interpreter's turns, so that the loop never waits long behind it, and lets the garbage
    collector leave out what start-up made: modules live as long as the process, and looking through them
    again and again stops every thread.
    """
    sys.setswitchinterval(_TURN_SECONDS)
    gc.freeze()
    return ThreadPoolExecutor(1, thread_name_prefix="worker")
