"""The gateway as a process of its own: beside a running feeder, or started and kept by one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from tui_feeder.attach.asking import NotAnsweredError
from tui_feeder.configuration.sections import Gateway
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import RunFailure
from tui_feeder.listener import ListenError, listen_at
from tui_feeder.service.gateway.link import FeederLink
from tui_feeder.service.gateway.server import serving_gateway

log = logging.getLogger(__name__)


class GatewayError(RunFailure):
    """The gateway cannot be served; the message has the reason and the remedy."""


async def serve(settings: Gateway, find: Callable[[], Path], over: asyncio.Event) -> None:
    """Serve the store of a running feeder until ``over``.

    Args:
        settings: ``[gateway]``.
        find: finds the feeder's socket.
        over: set to end.

    Raises:
        GatewayError: no feeder answers, or the port cannot be had.
        StoreError: the store cannot be read.
        SocketError: no feeder runs, or more than one.
    """
    find()
    link = FeederLink(find)
    try:
        state = await link.first_state()
    except NotAnsweredError as error:
        raise GatewayError(str(error)) from error
    try:
        made = listen_at(settings.host, settings.port)
    except ListenError as error:
        raise GatewayError(f"{error}: set gateway.host and gateway.port, or --host and --port") from error
    store = await asyncio.to_thread(Store, Path(state.store_path), read_only=True)
    with contextlib.closing(store):
        async with serving_gateway(store, link, made, settings) as server:
            link.figures = server.report
            hearing = asyncio.create_task(link.run(), name="gateway feeder")
            address = server.report().address
            log.info(
                "any Binance client reads %s at http://%s and ws://%s", state.store_path, address, address
            )
            try:
                ending = asyncio.create_task(over.wait())
                await asyncio.wait((ending, hearing), return_when=asyncio.FIRST_COMPLETED)
                ending.cancel()
            finally:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)


def run(settings: Gateway, find: Callable[[], Path]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: ``[gateway]``.
        find: finds the feeder's socket.

    Raises:
        GatewayError: no feeder answers, or the port cannot be had.
        StoreError: the store cannot be read.
        SocketError: no feeder runs, or more than one.
    """
    asyncio.run(_run(settings, find, None))


async def _run(settings: Gateway, find: Callable[[], Path], parent: int | None) -> None:
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    if parent is not None:  # it ends with the feeder that started it, however that went

        def wait_for_parent() -> None:
            while os.read(0, 1_024):  # not through the buffer of sys.stdin, which is locked at the end
                pass
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(over.set)

        threading.Thread(target=wait_for_parent, daemon=True).start()
    await serve(settings, find, over)


def main() -> None:
    """The child of a feeder: settings and the socket's path come as arguments, the end as that of stdin."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    settings = msgspec.json.decode(sys.argv[1].encode(), type=Gateway)
    path = Path(sys.argv[2])
    try:
        asyncio.run(_run(settings, lambda: path, 1))
    except RunFailure as error:
        log.error("%s", error)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
