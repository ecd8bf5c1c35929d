"""The way out: which proxy leads to an address. REST, streams, archive and webhooks all ask here.

The environment is honoured as other programs do it (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and
``NO_PROXY``, in small letters too); ``exchange.proxy`` overrides it. This machine is always asked directly.
"""

from __future__ import annotations

import errno
import importlib.util
import ipaddress
import os
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from tui_feeder.addresses import PROXY_FORMS, ProxyAddress, is_loopback, masked
from tui_feeder.errors import ExchangeFailure
from tui_feeder.safe_text import MASK

_SECURE = {"https": True, "wss": True, "http": False, "ws": False}
_KEY = "exchange.proxy"


class ProxyError(ExchangeFailure):
    """A proxy cannot be used; the message names it, where it is stated, and what to do."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and where it is stated: a key of the configuration, or a variable of the environment."""

    address: ProxyAddress
    source: str

    def __str__(self) -> str:
        return f"{self.address} ({self.source})"

    def check(self) -> None:
        """See that what it needs is installed.

        Raises:
            ProxyError: it is not.
        """
        needed = ("aiohttp_socks", "python_socks") if self.address.is_socks else ()
        if any(importlib.util.find_spec(name) is None for name in needed):
            raise ProxyError(
                f"the proxy {self} needs a package more: pip install 'feeder-tui[socks]'; "
                "an HTTP proxy needs none"
            )

    def masked(self, text: str) -> str:
        """Removes the proxy's password from a text, should a library repeat it.

        Args:
            text: any text.

        Returns:
            The text with the password masked.
        """
        for secret in self.address.secrets():
            text = text.replace(secret, MASK)
        return text


class Proxies:
    """What is configured, for any number of addresses.

    Args:
        stated: ``exchange.proxy``: an address, "none", or None where only the environment counts.
        environ: the environment.
    """

    def __init__(
        self, stated: ProxyAddress | str | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._stated = stated
        self._environ = os.environ if environ is None else environ

    def of(self, url: str) -> Proxy | None:
        """Finds the proxy for an address.

        Args:
            url: the address.

        Returns:
            The proxy; None for a direct connection.

        Raises:
            ProxyError: what the environment names is no address, or a package is missing.
        """
        if is_loopback(url):
            return None
        if self._stated is not None:
            found = Proxy(self._stated, _KEY) if isinstance(self._stated, ProxyAddress) else None
        else:
            found = self._of_environment(url)
        if found is not None:
            found.check()
        return found

    def _of_environment(self, url: str) -> Proxy | None:
        parts = urlsplit(url)
        secure = _SECURE.get(parts.scheme, True)
        named = self._variable("https_proxy" if secure else "http_proxy") or self._variable("all_proxy")
        if named is None or not named[1] or self._excepted(parts.hostname or "", parts.port, secure):
            return None
        variable, text = named
        try:
            return Proxy(ProxyAddress(text), variable)
        except ValueError as error:
            raise ProxyError(
                f"{variable} in the environment {error}: {masked(text)!r}; "
                f"allowed: {PROXY_FORMS}; or unset it"
            ) from None

    def _variable(self, name: str) -> tuple[str, str] | None:
        """Name and value; an empty value stands for no proxy."""
        for spelling in (name, name.upper()):
            if spelling in self._environ:
                return spelling, self._environ[spelling].strip()
        return None

    def _excepted(self, host: str, port: int | None, secure: bool) -> bool:
        _, stated = self._variable("no_proxy") or ("", "")
        port = port or (443 if secure else 80)
        return any(_matches(part.strip().lower(), host.lower(), port) for part in stated.split(","))

    def secrets(self) -> list[str]:
        """Passwords of all proxies that are named, for what must mask them."""
        found = [self._stated] if isinstance(self._stated, ProxyAddress) else []
        for name in ("https_proxy", "http_proxy", "all_proxy"):
            for spelling in (name, name.upper()):
                try:
                    found.append(ProxyAddress(self._environ.get(spelling, "")))
                except ValueError:
                    continue
        return [secret for address in found for secret in address.secrets()]


def routes_text(found: Mapping[str, Proxy | None]) -> str:
    """Describes routes: ``REST, archive: through http://proxy:3128 (HTTPS_PROXY); streams: directly``.

    Args:
        found: by what is reached, such as "REST": the proxy; None for a direct connection.

    Returns:
        One line, without passwords.
    """
    ways: dict[str, list[str]] = {}
    for name, proxy in found.items():
        ways.setdefault("directly" if proxy is None else f"through {proxy}", []).append(name)
    return "; ".join(f"{', '.join(names)}: {way}" for way, names in ways.items())


def session(proxy: Proxy | None, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    """Makes an HTTP client.

    Args:
        proxy: the proxy its requests go through; None for direct connections.
        timeout: timeouts of its requests.

    Returns:
        The client; the caller closes it.
    """
    if proxy is None:
        return aiohttp.ClientSession(timeout=timeout)
    address = proxy.address
    if address.is_socks:
        from aiohttp_socks import ProxyConnector, ProxyType

        kind = ProxyType.SOCKS5 if address.scheme.startswith("socks5") else ProxyType.SOCKS4
        connector = ProxyConnector(
            address.host, address.port, kind, address.username, address.password,
            rdns=address.scheme in ("socks5h", "socks4a"),
        )  # fmt: skip
        return aiohttp.ClientSession(timeout=timeout, connector=connector)
    return aiohttp.ClientSession(timeout=timeout, proxy=address.reveal())


def failures() -> tuple[type[Exception], ...]:
    """What a request raises where nothing answers, on the way or at its end."""
    if "aiohttp_socks" not in sys.modules:
        return (aiohttp.ClientError, OSError)
    import aiohttp_socks as socks

    return (
        aiohttp.ClientError, OSError, socks.ProxyError, socks.ProxyConnectionError, socks.ProxyTimeoutError
    )  # fmt: skip


def reason_of(error: Exception, proxy: Proxy | None) -> str:
    """Explains why a request failed.

    Args:
        error: the exception.
        proxy: the proxy it went through, if any.

    Returns:
        A suffix such as ``: refused``, or `` through the proxy http://proxy:3128: refused``.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError):
        text = f"it answers {error.status} {error.message}"
    elif proxy is not None and (reason := _system_reason(error)) is not None:
        text = f"it cannot be connected ({reason})"
    else:
        text = str(error) or type(error).__name__
    return f": {text}" if proxy is None else f" through the proxy {proxy}: {proxy.masked(text)}"


def _system_reason(error: BaseException) -> str | None:
    """The system's reason for a connection that was not made, however deep a library has wrapped it.

    Errors of TLS and of the name resolver have numbers of their own, which mean something else to the system.
    """
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLError):
        if isinstance(found, OSError) and found.errno:
            return os.strerror(found.errno) if found.errno in errno.errorcode else found.strerror
        found = found.__cause__
    return None


def _matches(part: str, host: str, port: int) -> bool:
    """Whether an entry of ``NO_PROXY`` names the host: ``*``, a name, a domain, an address or a network."""
    if not part:
        return False
    if part == "*":
        return True
    try:
        network = ipaddress.ip_network(part.strip("[]"), strict=False)
    except ValueError:
        pass
    else:
        try:
            return ipaddress.ip_address(host) in network
        except ValueError:
            return False
    name, colon, number = part.rpartition(":")
    if colon and number.isdigit():
        return int(number) == port and _matches(name, host, port)
    name = part.removeprefix("*").lstrip(".")
    return host == name or host.endswith(f".{name}")
