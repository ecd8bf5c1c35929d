"""One run: the engine on its thread, and a screen or a log before it, until the stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tui_feeder.config import Config, LoadedConfig
from tui_feeder.engine.live import EngineThread, wait_for_end
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.store import Store
from tui_feeder.logs import set_up

log = logging.getLogger(__name__)


class RunError(Exception):
    """The run cannot go as asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says of a run beside the configuration."""

    headless: bool
    jsonl: bool  # messages on stdout
    run_for: float | None  # seconds


def run(loaded: LoadedConfig, options: Options) -> int:
    """Run until stopped; the exit code.

    Raises:
        StoreError: the store cannot be opened.
        EngineError: the engine cannot do what the configuration asks.
    """
    config = loaded.config
    log_file = None if options.headless else _log_file()
    set_up(config.service.log_level, config.service.log_format, log_file)
    store = Store(config.application.storage_path, exchange=market_of(config))
    return (
        _headless(config, store, options)
        if options.headless
        else _interactive(loaded, store, options, log_file)
    )


def market_of(config: Config) -> str:
    """Whose candles the store holds: simulated ones are marked, whatever port they come from."""
    url = config.exchange.rest_url
    host = url.split("//", 1)[-1].split("/", 1)[0].rsplit(":", 1)[0]
    return "a simulated exchange" if host in ("127.0.0.1", "localhost", "[::1]") else url


def _log_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "feeder-tui" / "feeder-tui.log"


def _headless(config: Config, store: Store, options: Options) -> int:
    stop = threading.Event()
    sinks: list[Sink] = []
    if options.jsonl:
        from tui_feeder.engine.sinks.lines import LinesSink

        sinks.append(LinesSink(sys.stdout.buffer, on_broken=stop.set))

    def asked(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)  # asked twice: at once
        log.info("%s: stopping in order; once more stops at once", signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, asked)
    engine = EngineThread(config, store, sinks, on_end=stop.set)
    wait_for_end(engine, options.run_for, stop)
    return _end(engine, config)


def _interactive(loaded: LoadedConfig, store: Store, options: Options, log_file: Path | None) -> int:
    from tui_feeder.app import FeederApp, UiSettings

    config, ui = loaded.config, loaded.config.ui
    # Left to itself the screen chooses its rate: less over ssh, less on a slow line.
    stated = loaded.origins["ui.refresh_hz"] != "default"
    settings = UiSettings(
        refresh_hz=ui.refresh_hz if stated else None,
        theme=ui.theme,
        symbol_set=ui.symbol_set,
        colors=ui.colors,
        slow=ui.slow,
    )
    engine = EngineThread(config, store, [], on_end=lambda: None)
    try:
        app = FeederApp(engine.monitor, settings, title="feeder-tui")
    except ValueError as error:
        _end(engine, config)
        raise RunError(f"[ui] cannot be used: {error}") from error
    timer: threading.Timer | None = None
    if options.run_for is not None:
        timer = threading.Timer(options.run_for, app.request_stop)
        timer.daemon = True
        timer.start()
    try:
        app.run()
    finally:
        if timer is not None:
            timer.cancel()
        code = _end(engine, config)
    if app.return_value is None:
        raise RunError(
            f"the screen failed, the feeder was stopped in order; --no-ui runs without it; log in {log_file}"
        )
    if code == 0:
        sys.stderr.write(f"feeder-tui: stopped in order; log in {log_file}\n")
    return code


def _end(engine: EngineThread, config: Config) -> int:
    """Stop in order; 1 when that took longer than allowed."""
    engine.request_stop()
    in_time = engine.join(config.service.shutdown_timeout_seconds + 5.0)
    if engine.error is not None:
        raise engine.error
    if not in_time:
        log.error("the engine did not stop in time")
        return 1
    log.info("stopped in order")
    return 0
