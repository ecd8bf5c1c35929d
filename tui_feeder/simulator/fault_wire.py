"""Ways a connection can fail under an answer: silence, a cut, a trickle."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from aiohttp import web

from tui_feeder.simulator.faults import Fault, Faults

#: Real seconds between checks whether a fault is over or a client gone: at first, at most.
_CHECK, _LONGEST_CHECK = 0.05, 0.5
#: Real seconds between pieces of a trickle.
_PIECE = 0.1


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Ends a connection at once, with a TCP reset.

    Args:
        transport: the connection; None or one already closing is left alone.
    """
    if not isinstance(transport, asyncio.WriteTransport) or transport.is_closing():
        return
    peer = transport.get_extra_info("socket")
    if peer is not None:
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def gone(request: web.Request) -> bool:
    """Checks whether the client has disconnected.

    Args:
        request: the client's request.

    Returns:
        True if its connection is closed or closing.
    """
    return request.transport is None or request.transport.is_closing()


async def wait_over(request: web.Request, faults: Faults, fault: Fault, longest: float) -> None:
    """Waits until a fault is over, its client has disconnected, or a time limit has passed.

    Args:
        request: the request that is held up.
        faults: the active faults.
        fault: the fault to outlast.
        longest: real seconds to wait at most.
    """
    loop = asyncio.get_running_loop()
    until, look = loop.time() + longest, _CHECK
    # A fault ends by exchange time, which nobody announces, so it is looked at again and again.
    while not (faults.outlasted(fault) or gone(request) or loop.time() >= until):
        await asyncio.sleep(look)
        look = min(2 * look, _LONGEST_CHECK)


async def _begin(request: web.Request, answer: web.Response) -> tuple[web.StreamResponse, bytes]:
    """Sends the head of an answer; the body that should follow it."""
    body = answer.body
    assert isinstance(body, bytes)
    sent = web.StreamResponse(status=answer.status, headers=answer.headers)
    sent.content_length = len(body)
    await sent.prepare(request)
    return sent, body


async def send_half(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Sends a response that announces its whole length and breaks off in the middle.

    Args:
        request: the request to answer.
        answer: the complete response.

    Returns:
        The response as far as it was sent.
    """
    sent, body = await _begin(request, answer)
    await sent.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return sent


async def trickle(
    request: web.Request, answer: web.Response, faults: Faults, fault: Fault
) -> web.StreamResponse:
    """Sends a response at the pace of a fault, and the rest at once when the fault is over.

    Args:
        request: the request to answer.
        answer: the complete response.
        faults: the active faults.
        fault: the fault that sets the pace (``bytes_per_second``).

    Returns:
        The response as far as it was sent.
    """
    sent, body = await _begin(request, answer)
    piece = max(1, round(fault.number("bytes_per_second") * _PIECE))
    place = 0
    while place < len(body) and not gone(request):
        if faults.outlasted(fault):
            piece = len(body)
        elif faults.find("refuse-connections"):
            reset(request.transport)
            break
        await sent.write(body[place : place + piece])
        place += piece
        await asyncio.sleep(_PIECE)
    return sent
