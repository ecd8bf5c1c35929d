"""Which names a request may call this server by.

A page of another site can have its own name point at this machine and then read what is served here as if it
were its own (DNS rebinding). The browser sends that name in the ``Host`` header, so a name that is not ours
is refused. An address cannot be made to point elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

_NAME = re.compile(r"[a-z0-9_.:-]{1,253}")


def host_matcher(served_on: str, allowed: Iterable[str] = ()) -> Callable[[str], bool]:
    """Makes a check whether the value of a ``Host`` header names this server.

    Loopback always does, and so does ``served_on``. Where that is an address others reach, every address
    does, and this machine's own names.

    Args:
        served_on: ``service.http_host``.
        allowed: names beside those, ``service.allowed_hosts``; ``*.example`` is every name below
            ``example``.

    Returns:
        A function from the header's value to True or False.
    """
    configured = served_on.lower().rstrip(".")
    open_to_others = not _is_loopback(configured)
    names = {configured, "localhost"}
    if open_to_others:
        names |= {name.lower() for name in (socket.gethostname(), socket.getfqdn())}

    stated = [name.lower().rstrip(".") for name in allowed]
    names.update(name for name in stated if not name.startswith("*."))
    endings = (".localhost", *(name[1:] for name in stated if name.startswith("*.")))

    def is_own_host(header: str) -> bool:
        try:
            host = host_of(header)
        except ValueError:
            return False
        if host in names or host.endswith(endings):
            return True
        address = _address(host)
        return address is not None and (open_to_others or address.is_loopback)

    return is_own_host


def host_of(header: str) -> str:
    """Takes the name or address out of a ``Host`` header.

    Args:
        header: the header's value.

    Returns:
        It without the port.

    Raises:
        ValueError: it is none.
    """
    return (urlsplit(f"//{header}").hostname or "").rstrip(".")


def host_refusal(header: str, key: str) -> str:
    """The message for a request under a host name that is not ours.

    Args:
        header: the ``Host`` header.
        key: where names are added.

    Returns:
        The message.
    """
    try:
        host = host_of(header)
    except ValueError:
        host = ""
    if not _NAME.fullmatch(host):
        return "the request names no host that this server may have"
    return f'this server does not answer to the name {host}: add "{host}" to {key}'


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address is not None else host == "localhost" or host.endswith(".localhost")
