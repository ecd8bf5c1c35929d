"""Why a request through a proxy failed: what the system or TLS reported, in its own words."""

from __future__ import annotations

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from tui_feeder.addresses import ProxyAddress
from tui_feeder.engine.core.proxy import Proxy, reason_of

PROXY = Proxy(ProxyAddress("http://me:secret@proxy:3128"), "HTTPS_PROXY")
#: As OpenSSL raises it: its number is one of TLS, not of the system, where 1 is "Operation not permitted".
UNTRUSTED = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
KEY = ConnectionKey("exchange", 443, True, True, None, None, None)


def wrapped(error: Exception) -> Exception:
    try:
        raise RuntimeError(f"no connection: {error}") from error
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize(
    "error",
    [
        UNTRUSTED,
        wrapped(UNTRUSTED),
        aiohttp.ClientConnectorCertificateError(KEY, UNTRUSTED),
        aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "certificate verify failed")),
    ],
    ids=["plain", "wrapped", "certificate", "tls"],
)
def test_a_certificate_error_is_shown_as_one(error: Exception) -> None:
    text = reason_of(error, PROXY)
    assert "certificate verify failed" in text
    assert "Operation not permitted" not in text


@pytest.mark.parametrize("cause", [False, True])
def test_a_proxy_that_refuses_is_shown_with_the_systems_reason(cause: bool) -> None:
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed")
    text = reason_of(wrapped(refused) if cause else refused, PROXY)
    assert text.endswith("it cannot be connected (Connection refused)")
    assert "secret" not in text


def test_a_proxy_whose_name_is_unknown_is_shown_with_the_resolvers_reason() -> None:
    error = aiohttp.ClientConnectorDNSError(
        KEY, socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    )
    assert reason_of(error, PROXY).endswith("it cannot be connected (Name or service not known)")
