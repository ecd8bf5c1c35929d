"""A listening socket that cannot take the process down: so many connections, and never the last descriptor.

A connection costs a descriptor, and those are few (1,024 by default). A client that opens many, by mistake or
on purpose, must not take them from the stream, REST and the store. asyncio's own handling does not help: it
writes a traceback for each connection that it cannot accept.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from tui_feeder.errors import HostError

log = logging.getLogger(__name__)

#: One in so many descriptors is for the connections of a listener; the feeder needs the rest.
_SHARE = 8
_LEAST = 8
_QUEUE = 64
#: Of the bound; from there on, the connection idle for longest is closed when another comes.
_CROWDED = 0.75
_LOG_SECONDS = 60.0
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
_NO_RESOURCE = (*_NO_DESCRIPTOR, errno.ENOBUFS, errno.ENOMEM)
#: Accepted and closed in one go; more of them wait for the loop's next turn.
_AT_ONCE = 256


class ListenError(HostError):
    """An address cannot be listened on. ``no_address``: it is not an address of this machine."""

    def __init__(self, text: str, *, no_address: bool = False) -> None:
        super().__init__(text)
        self.no_address = no_address


def listen_at(host: str, port: int) -> socket.socket:
    """Listens at the first address of a host.

    Args:
        host: name or address.
        port: 0 for any free one.

    Returns:
        The listening socket.

    Raises:
        ListenError: it cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ListenError(f"{host} is not an address of this machine ({error})", no_address=True) from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_QUEUE)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise ListenError(f"{host} is not an address of this machine", no_address=True) from error
        if error.errno == errno.EADDRINUSE:
            text = "is in use, perhaps by another feeder"
        elif error.errno == errno.EACCES:
            text = "may be used by the administrator only"
        else:
            text = f"cannot be used ({os.strerror(error.errno or 0)})"
        raise ListenError(f"port {port} of {host} {text}") from error
    return made


def most_connections(wanted: int, share: int = _SHARE) -> int:
    """Limits the connections of a listener to what the limit of open files allows.

    Args:
        wanted: where there are files enough.
        share: one in so many files that this process may open.

    Returns:
        Connections at a time.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(_LEAST, min(wanted, soft // share))


class Listener(socket.socket):
    """A socket that accepts at most so many connections at a time, and closes those beyond at once.

    One descriptor is kept back, so that a connection can be taken and closed even where none is free: left in
    the queue it would wake the loop for ever. Both are logged once a minute at most.

    Args:
        made: a bound socket that listens; its descriptor is taken over.
        name: what is listened at, for people.
        most: connections at a time, see :func:`most_connections`.

    Attributes:
        make_room: asked to let one connection go that is not needed, where few places are left.
    """

    def __init__(self, made: socket.socket, name: str, most: int) -> None:
        made.setblocking(False)
        super().__init__(made.family, made.type, made.proto, fileno=made.detach())
        self.setblocking(False)
        self.make_room: Callable[[], None] = lambda: None
        self.refused = 0  # connections
        self._name = name
        self._most = most
        self._taken = 0
        self._lock = threading.Lock()  # a connection may be closed on any thread
        self._spare = -1
        self._logged: dict[str, float] = {}  # monotonic time, by reason
        self._waits_until = 0.0
        _drop_accept_tracebacks()
        self._keep_spare()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection, as of any socket.

        Raises:
            BlockingIOError: none waits.
            OSError: of resources: no connection can be taken for a while, and the loop has to pause.
        """
        if time.monotonic() < self._waits_until:  # asyncio goes on accepting in the same turn
            raise BlockingIOError
        for _ in range(_AT_ONCE):
            try:
                descriptor, address = self._next()
            except OSError as error:
                if error.errno not in _NO_RESOURCE:
                    raise
                self._refuse_without_descriptor(error)
                continue
            if self._taken >= self._most * _CROWDED:
                self.make_room()
            if self._taken >= self._most:
                os.close(descriptor)
                self._refuse(f"{self._most} connections are open already")
                continue
            with self._lock:
                self._taken += 1
            return _Accepted(self, descriptor), address
        raise BlockingIOError

    def close(self) -> None:
        """Close it and what was kept back."""
        super().close()
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def _next(self) -> tuple[int, Any]:
        # Not super().accept(): that makes a socket of every connection, also of one that is not kept.
        descriptor, address = self._accept()  # type: ignore[attr-defined]
        return int(descriptor), address

    def _refuse_without_descriptor(self, error: OSError) -> None:
        """No descriptor is free: take one connection with the one kept back, and close it."""
        self.make_room()
        self._keep_spare()
        try:
            if error.errno not in _NO_DESCRIPTOR or self._spare < 0:
                raise error
            os.close(self._spare)
            self._spare = -1
            os.close(self._next()[0])
        except OSError as again:
            if again.errno in _NO_RESOURCE:
                self._refuse(os.strerror(again.errno or 0))
                self._waits_until = time.monotonic() + 0.5
            raise
        finally:
            self._keep_spare()
        self._refuse("the process has no file descriptor left: raise its limit (ulimit -n, LimitNOFILE=)")

    def _keep_spare(self) -> None:
        if self._spare < 0:
            try:
                self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                self._spare = -1

    def _refuse(self, why: str) -> None:
        self.refused += 1
        now = time.monotonic()
        if now - self._logged.get(why, -_LOG_SECONDS) >= _LOG_SECONDS:
            self._logged[why] = now
            log.warning("connections to %s are refused (%d so far): %s", self._name, self.refused, why)

    def connection_closed(self) -> None:
        """A connection was closed."""
        with self._lock:
            self._taken -= 1


class _Accepted(socket.socket):
    """A connection that notifies its listener when it is closed."""

    def __init__(self, listener: Listener, descriptor: int) -> None:
        super().__init__(listener.family, listener.type, listener.proto, fileno=descriptor)
        self._listener: Listener | None = listener

    def close(self) -> None:
        super().close()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.connection_closed()

    def detach(self) -> int:
        descriptor = super().detach()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.connection_closed()
        return descriptor


def _drop_accept_tracebacks() -> None:
    """Drop asyncio's traceback of a failed accept, once a second without end: the failure is logged above."""
    logger = logging.getLogger("asyncio")
    if _is_not_accepting not in logger.filters:
        logger.addFilter(_is_not_accepting)


def _is_not_accepting(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("socket.accept() out of system resource")
