"""Which names a request may call this server by.

A page of another site can have its own name point at this machine and then read what is served here as if it
were its own (DNS rebinding). The browser says that name in the ``Host`` header, so what is no name of ours
is refused. An address cannot be made to point elsewhere.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit


def own_name(served_on: str) -> Callable[[str], bool]:
    """Whether the value of a ``Host`` header names this server.

    Loopback always does, and so does ``served_on``. Where that is an address others reach, every address
    does, and the names this machine gives itself.

    Args:
        served_on: ``service.http_host``.
    """
    configured = served_on.lower().rstrip(".")
    open_to_others = not _is_loopback(configured)
    names = {configured, "localhost"}
    if open_to_others:
        names |= {name.lower() for name in (socket.gethostname(), socket.getfqdn())}

    def named(header: str) -> bool:
        try:
            host = (urlsplit(f"//{header}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if host in names or host.endswith(".localhost"):
            return True
        address = _address(host)
        return address is not None and (open_to_others or address.is_loopback)

    return named


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address is not None else host == "localhost" or host.endswith(".localhost")
