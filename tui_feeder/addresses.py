"""Addresses: which are of this machine or of the web, and that of a proxy, shown without its password."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import quote, unquote, urlsplit

from tui_feeder.safe_text import MASK

SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
_PORTS = {"http": 80, "https": 443} | dict.fromkeys(SOCKS, 1080)
#: In words, what the address of a proxy may be.
PROXY_FORMS = (
    '"none", or an address of the form "http://host:port", "https://host:port", "socks5://host:port", '
    '"socks5h://host:port", "socks4://host:port" or "socks4a://host:port", with "user:password@" before the '
    "host where the proxy asks for it"
)


class ProxyAddress:
    """Where a proxy is. As text it is whole but for the password, which is a mask.

    Args:
        text: a URL, or ``host:port`` of an HTTP proxy.

    Raises:
        ValueError: it is no such address; the message does not repeat it.
    """

    __slots__ = ("host", "password", "port", "scheme", "username")

    def __init__(self, text: str) -> None:
        if not text.isprintable() or text.strip() != text or not text:
            raise ValueError("is not an address")
        url = urlsplit(text if "://" in text else f"http://{text}")
        try:
            port, host = url.port, url.hostname
        except ValueError:
            raise ValueError("has no port of 1 to 65535") from None
        if url.scheme not in _PORTS:
            raise ValueError("is of a kind that is not known")
        if not host or any(character.isspace() for character in host):
            raise ValueError("has no host")
        if url.path not in ("", "/") or url.query or url.fragment:
            raise ValueError("has more than a host and a port")
        if port == 0:
            raise ValueError("has no port of 1 to 65535")
        self.scheme: str = url.scheme
        self.host: str = host
        self.port: int = port or _PORTS[url.scheme]
        self.username = unquote(url.username) if url.username else None
        self.password = unquote(url.password) if url.password else None

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS, not HTTP."""
        return self.scheme in SOCKS

    def reveal(self) -> str:
        """The whole URL, for the connection that needs it."""
        return self._url("" if self.password is None else quote(self.password, safe=""))

    def secrets(self) -> tuple[str, ...]:
        """The password, plain and as it stands in a URL; the longest first, none where there is none."""
        if not self.password:
            return ()
        return tuple(sorted({self.password, quote(self.password, safe="")}, key=len, reverse=True))

    def without_user(self) -> str:
        """The URL without name and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def _url(self, password: str) -> str:
        if self.username is None:
            return self.without_user()
        return self.without_user().replace("://", f"://{quote(self.username, safe='')}:{password}@", 1)

    def __str__(self) -> str:
        return self._url(MASK)

    def __repr__(self) -> str:
        return f"ProxyAddress({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProxyAddress) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())


def masked(text: str) -> str:
    """What may be shown of a text that was to be an address.

    Args:
        text: what was written; whatever stands before an @ may be a secret.

    Returns:
        The text with that part masked.
    """
    scheme, mark, rest = text.rpartition("://")
    return f"{scheme}{mark}{MASK}@{rest.rpartition('@')[2]}" if "@" in rest else text


def is_url(text: str, schemes: Collection[str]) -> bool:
    """Whether a text is an address with a host, and nothing behind its path.

    Args:
        text: what was written.
        schemes: those allowed, as ``https``.

    Returns:
        False too where there are a user, a query or spaces.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    bare = not url.query and not url.fragment and url.username is None and url.password is None
    return url.scheme in schemes and bool(url.hostname) and port != 0 and bare and _is_printable(text)


def is_web_address(text: str) -> bool:
    """Whether a text is an http or https address with a host.

    Args:
        text: what was written.

    Returns:
        True whatever follows the host.
    """
    try:
        url = urlsplit(text)
        return (
            url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and _is_printable(text)
        )
    except ValueError:
        return False


def is_loopback(url: str) -> bool:
    """Whether the host of an address is this machine.

    Args:
        url: the address.

    Returns:
        What its name or number alone shows; no name is looked up.
    """
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_printable(text: str) -> bool:
    return text.isprintable() and text.strip() == text
