"""A port for a server that is started a moment later."""

from __future__ import annotations

import contextlib
import random
import socket

#: Below those that the system gives to connections and to servers that name none: these come and go.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that only a server which names it takes."""
    for port in random.SystemRandom().sample(_PORTS, 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port of 127.0.0.1 is free")
