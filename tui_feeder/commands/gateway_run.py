"""``feeder-tui gateway``: the gateway beside a feeder that runs already."""

from __future__ import annotations

from pathlib import Path

from tui_feeder.attach.sockets import choose_socket, require_feeder
from tui_feeder.config import LoadedConfig
from tui_feeder.logs import configure_logging
from tui_feeder.service.gateway import process


def run(loaded: LoadedConfig, socket: Path | None) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        loaded: the configuration.
        socket: of the feeder; None for the only one that runs.

    Raises:
        SocketError: no feeder runs or listens at ``socket``, or more than one runs.
        GatewayError: it does not answer, or the port cannot be had.
        StoreError: its store cannot be read.
    """
    if socket is not None:
        require_feeder(choose_socket(socket))
    configure_logging(loaded.config, loaded.config.service.log_file, own=False)
    process.run(loaded.config.gateway, lambda: choose_socket(socket))
