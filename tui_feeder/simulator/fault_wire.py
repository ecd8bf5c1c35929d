"""Ways a connection can fail under an answer: silence, a cut, a trickle."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from aiohttp import web

from tui_feeder.simulator.faults import Fault, Faults

#: Real seconds between looks at whether a fault is over or a client gone: at first, at most.
_LOOK, _LONGEST_LOOK = 0.05, 0.5
#: Real seconds between pieces of a trickle.
_PIECE = 0.1


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Ends a connection at once, with a TCP reset."""
    if not isinstance(transport, asyncio.WriteTransport) or transport.is_closing():
        return
    peer = transport.get_extra_info("socket")
    if peer is not None:
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def gone(request: web.Request) -> bool:
    """Whether the client has hung up."""
    return request.transport is None or request.transport.is_closing()


async def wait_over(request: web.Request, faults: Faults, fault: Fault, longest: float) -> None:
    """Waits until a fault is over, its client has hung up, or ``longest`` real seconds have passed."""
    loop = asyncio.get_running_loop()
    until, look = loop.time() + longest, _LOOK
    # A fault ends by exchange time, which nobody announces, so it is looked at again and again.
    while not (faults.outlasted(fault) or gone(request) or loop.time() >= until):
        await asyncio.sleep(look)
        look = min(2 * look, _LONGEST_LOOK)


async def _begin(request: web.Request, answer: web.Response) -> tuple[web.StreamResponse, bytes]:
    """Sends the head of an answer; the body that should follow it."""
    body = answer.body
    assert isinstance(body, bytes)
    sent = web.StreamResponse(status=answer.status, headers=answer.headers)
    sent.content_length = len(body)
    await sent.prepare(request)
    return sent, body


async def send_half(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Sends an answer that promises its whole length and breaks off in the middle."""
    sent, body = await _begin(request, answer)
    await sent.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return sent


async def trickle(
    request: web.Request, answer: web.Response, faults: Faults, fault: Fault
) -> web.StreamResponse:
    """Sends an answer at the pace of a fault, and the rest at once when the fault is over."""
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
