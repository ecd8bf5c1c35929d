"""Whether a run is served over HTTP, and where. Loads the service only if it is."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from tui_feeder.config import LoadedConfig
from tui_feeder.configuration.rules import is_simulated
from tui_feeder.engine.thread import EngineThread

log = logging.getLogger(__name__)

#: The key that has the port; 0 for no service.
PORT_KEY = "application.health_server_port"


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where health, metrics and the API are served."""

    host: str
    port: int
    stated: bool  # the user has set the port; without it, a run goes on where the port is in use
    off: str  # why nothing is served; "" where it is


def http_settings(loaded: LoadedConfig) -> HttpSettings:
    """Decides where the service listens.

    Args:
        loaded: the configuration with the origin of each value.

    Returns:
        Host and port, or why it is off.
    """
    config = loaded.config
    port, stated = config.application.health_server_port, loaded.origins[PORT_KEY] != "default"
    off = ""
    if port == 0:
        off = f"{PORT_KEY} = 0"
    elif not stated and is_simulated(config):
        off = f"the exchange is a simulated one, and {PORT_KEY} is not set"
    return HttpSettings(config.service.http_host, port, stated, off)


@contextlib.contextmanager
def serve_configured(engine: EngineThread, loaded: LoadedConfig) -> Iterator[None]:
    """Serves health, metrics and the API as configured, inside the context.

    Args:
        engine: what is served.
        loaded: the configuration with the origin of each value.

    Yields:
        The running service, or None if it is off.

    Raises:
        ServiceError: the port that is set cannot be used.
    """
    settings = http_settings(loaded)
    if settings.off:
        yield
        return
    from tui_feeder.service.http import HttpService, ServiceError

    try:
        service = HttpService(engine, settings.host, settings.port, loaded.config.service.allowed_hosts)
    except ServiceError as error:
        if settings.stated:
            raise
        log.warning("health and metrics are not served: %s", error)
        yield
        return
    with contextlib.closing(service):
        host = f"[{service.address[0]}]" if ":" in service.address[0] else service.address[0]
        log.info("serving http://%s:%d/health /ready /metrics /api/v1", host, service.address[1])
        yield
