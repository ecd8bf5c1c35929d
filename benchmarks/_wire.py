"""A socket in front of a feeder's, that counts what goes through and can be cut."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from pathlib import Path


class Wire:
    """Passes everything on between those who come to ``path`` and the feeder, until it is cut."""

    def __init__(self, path: Path, feeder: Path) -> None:
        self.path = path
        self.received = 0  # bytes from the feeder
        self.joined = 0  # connections so far
        self._feeder = feeder
        self._ends: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._cut = False
        self._away_until = 0.0
        self._closing = False
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self, seconds: float) -> None:
        """End the connections there are, and let none through for so long."""
        self._away_until = time.monotonic() + seconds
        self._cut = True

    def close(self) -> None:
        """End everything."""
        self._closing = True
        self._thread.join()
        self._selector.unregister(self._listener)
        self._listener.close()

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select(0.05):
                assert isinstance(key.fileobj, socket.socket)  # nothing else is registered
                self._pass_on(key.fileobj)
            if self._cut or self._closing:
                self._cut = False
                for end in list(self._ends):
                    self._let_go(end)

    def _pass_on(self, end: socket.socket) -> None:
        if end is self._listener:
            client, _ = end.accept()
            if time.monotonic() < self._away_until:
                client.close()
                return
            feeder = socket.socket(socket.AF_UNIX)
            feeder.connect(str(self._feeder))
            self.joined += 1
            self._ends |= {client: feeder, feeder: client}
            for one in (client, feeder):
                self._selector.register(one, selectors.EVENT_READ, data=one is feeder)
            return
        other = self._ends.get(end)
        if other is None:
            return
        try:
            data = end.recv(1 << 16)
            if data:
                other.sendall(data)
                self.received += len(data) * bool(self._selector.get_key(end).data)
                return
        except OSError:
            pass
        self._let_go(end)

    def _let_go(self, end: socket.socket) -> None:
        other = self._ends.pop(end, None)
        if other is None:  # with the other end
            return
        del self._ends[other]
        for one in (end, other):
            self._selector.unregister(one)
            one.close()
