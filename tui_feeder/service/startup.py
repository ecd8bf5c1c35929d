"""Whether a run is served over HTTP, and where. Loads the service only if it is."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from tui_feeder.config import LoadedConfig
from tui_feeder.configuration.values import is_loopback
from tui_feeder.engine.thread import EngineThread

log = logging.getLogger(__name__)
_KEY = "application.health_server_port"


@contextlib.contextmanager
def serve_configured(engine: EngineThread, loaded: LoadedConfig) -> Iterator[None]:
    """Serve health, metrics and the API as configured, while inside.

    Where nobody has stated a port, the usual one is a courtesy: a simulated exchange is not served, and
    where another has the port, that is told and done without.

    Raises:
        ServiceError: the port that is stated cannot be had.
    """
    config = loaded.config
    port, stated = config.application.health_server_port, loaded.origins[_KEY] != "default"
    if port == 0 or (not stated and is_loopback(config.exchange.rest_url)):
        yield
        return
    from tui_feeder.service.http import HttpService, ServiceError

    try:
        service = HttpService(engine, config.service.http_host, port, config.service.allowed_hosts)
    except ServiceError as error:
        if stated:
            raise
        log.warning("health and metrics are not served: %s", error)
        yield
        return
    with contextlib.closing(service):
        host = f"[{service.address[0]}]" if ":" in service.address[0] else service.address[0]
        log.info("serving http://%s:%d/health /ready /metrics /api/v1", host, service.address[1])
        yield
