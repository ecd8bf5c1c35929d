"""A process that begins with this folder in PYTHONPATH has a clock that is off by WRONG_CLOCK_SECONDS."""

from __future__ import annotations

import os
import time

_OFF = float(os.environ.get("WRONG_CLOCK_SECONDS", "0"))
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _OFF
time.time_ns = lambda: _time_ns() + int(_OFF * 1e9)
