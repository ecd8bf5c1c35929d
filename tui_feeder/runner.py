"""One run: the engine on its thread, and a screen or a log before it, until the stop."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from tui_feeder.config import Config, ConfigError, LoadedConfig
from tui_feeder.configuration.files import FILE_NAME
from tui_feeder.configuration.keys import needing_restart
from tui_feeder.configuration.printing import render
from tui_feeder.configuration.requirements import problem_from_need, unmet_requirements
from tui_feeder.configuration.rules import exchange_label
from tui_feeder.engine.alerts.rule_saving import RuleFile
from tui_feeder.engine.composition import configured_routes
from tui_feeder.engine.core.proxy import routes_text
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.sinks.configured import configured_sinks
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.store import Store
from tui_feeder.engine.thread import EngineThread, wait_for_end
from tui_feeder.errors import RunFailure
from tui_feeder.logs import apply_log_levels, configure_logging, reopen_log_files
from tui_feeder.monitor import ConfiguredValue, Faults
from tui_feeder.paths import FolderError, config_folder, expand_user, state_folder
from tui_feeder.service.startup import serve_configured

log = logging.getLogger(__name__)


#: Signals that would end the process without a word; sent by mistake they end no feeder.
_NOT_OURS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
_following_hangup = threading.Lock()


class RunError(RunFailure):
    """The run cannot start or continue as configured."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line sets of a run beside the configuration."""

    headless: bool
    jsonl: bool  # messages on stdout
    run_for: float | None  # seconds
    #: Reads the configuration again, on SIGHUP and for rules of alerts; prints nothing.
    reload: Callable[[], LoadedConfig] | None = None
    on_ui_crash: str = "stop"  # or "continue": the feeder runs on without a screen
    on_hangup: str = "stop"  # or "continue", when the terminal is gone
    debug: bool = False  # tracebacks on stderr too
    forgets: bool = False  # the store is removed after the run
    notes: tuple[str, ...] = ()  # warnings of the start, for the log and the screen


def run(loaded: LoadedConfig, options: Options, faults: Faults | None = None) -> int:
    """Runs until stopped.

    Args:
        loaded: the configuration.
        options: of the command line.
        faults: of the exchange of a demo, to be switched from the screen.

    Returns:
        The exit code.

    Raises:
        ConfigError: a package or a file that the configuration needs cannot be used.
        StoreError: the store cannot be opened.
        EngineError: the engine cannot do what the configuration asks.
        ProxyError: a proxy that is configured cannot be used.
    """
    config = loaded.config
    needs = unmet_requirements(config)
    if fatal := [need for need in needs if need.fatal]:
        raise ConfigError([problem_from_need(loaded, need) for need in fatal])
    options = replace(options, notes=(*options.notes, *map(str, needs)))
    stated = config.service.log_file
    usual = None if options.headless else state_folder() / "feeder-tui.log"
    log_file = configure_logging(config, stated or usual, own=stated is None)
    if options.headless and log_file is not None:
        _print_line(f"the log goes to {log_file}")
    ways = configured_routes(config)
    if any(ways.values()):
        log.info("connections to the exchange: %s", routes_text(ways))
    for number in _NOT_OURS:
        signal.signal(number, _ignore_signal)
    store = Store(config.application.storage_path, exchange=exchange_label(config))
    try:
        sinks = configured_sinks(config, store)
    except SinkError as error:
        store.close()
        raise RunError(str(error)) from error
    return (
        _headless(loaded, store, sinks, options)
        if options.headless
        else _interactive(loaded, store, sinks, options, log_file, faults)
    )


def _ignore_signal(number: int, _frame: FrameType | None) -> None:
    log.warning("%s is ignored", signal.Signals(number).name)


def _headless(loaded: LoadedConfig, store: Store, sinks: list[Sink], options: Options) -> int:
    config = loaded.config
    stop = threading.Event()
    if options.jsonl:
        from tui_feeder.engine.sinks.lines import LinesSink

        sinks.append(LinesSink(sys.stdout.buffer, on_broken=stop.set))

    def stop_on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)  # asked twice: at once
        log.info("%s: shutting down; once more stops at once", signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_on_signal)
    engine = EngineThread(config, store, sinks, on_end=stop.set, rule_file=_rule_file(loaded, options))
    _note_start(engine, options)
    signal.signal(signal.SIGHUP, lambda *_: _handle_hangup(options.reload, engine))
    try:
        with (
            _attach_server(engine, loaded),
            serve_configured(engine, loaded),
            _systemd_notifications(engine, config),
        ):
            wait_for_end(engine, options.run_for, stop)
    finally:
        code = _shut_down(engine, config)
    return code


def _note_start(engine: EngineThread, options: Options) -> None:
    """Warnings that the log and the screen both have."""
    for text in options.notes:
        engine.engine.journal.note("warning", text)


def _rule_file(loaded: LoadedConfig, options: Options) -> RuleFile | None:
    """The configuration that rules of alerts are written into: the one read, else the user's own.

    A demo has none: it keeps rules in its store.
    """
    folder = config_folder()
    path = loaded.path or (None if folder is None else folder / FILE_NAME)
    return None if options.reload is None or path is None else RuleFile(path, options.reload)


def _handle_hangup(read: Callable[[], LoadedConfig] | None, engine: EngineThread) -> None:
    """What SIGHUP asks for: a new log file where it was moved, and the configuration as it is now.

    Followed in a thread: what the signal interrupts may be within a line of the log, or following one.
    """
    threading.Thread(target=_follow_hangup, args=(read, engine), name="hangup", daemon=True).start()


def _follow_hangup(read: Callable[[], LoadedConfig] | None, engine: EngineThread) -> None:
    """One signal after the other, each of which reads the configuration: none ends with an older one."""
    with _following_hangup:
        reopen_log_files()
        if read is not None:
            _reload(read, engine)


def _reload(read: Callable[[], LoadedConfig], engine: EngineThread) -> None:
    """Follow symbols, log levels and rules of alerts as they are now; wrong ones change nothing."""
    try:
        loaded = read()
    except ConfigError as error:
        log.error("the new configuration is not used: %s", error)
        return
    config = loaded.config
    for warning in loaded.warnings:
        log.warning("%s", warning)
    apply_log_levels(config.service)
    engine.call(lambda: engine.engine.subscriptions.replace(config.application.symbols))
    book, alerts = engine.engine.rule_book, engine.engine.alerts
    engine.call(lambda: alerts.replace_rules(book.configure(config)))
    log.info("configuration read again: %s", ", ".join(config.application.symbols))
    if left := needing_restart(engine.engine.config, config):
        log.warning("a restart is needed for the new values of %s", ", ".join(left))


def _systemd_notifications(engine: EngineThread, config: Config) -> contextlib.AbstractContextManager[None]:
    """Report the state of the run to systemd, where it asks for it."""
    if "NOTIFY_SOCKET" not in os.environ:
        return contextlib.nullcontext()
    from tui_feeder.service.notify import systemd_notifications

    return systemd_notifications(engine, config.service)


@contextlib.contextmanager
def _attach_server(engine: EngineThread, loaded: LoadedConfig) -> Iterator[None]:
    """Let others attach while the engine runs. Without a socket it runs on, unless one was named."""
    config = loaded.config
    if config.service.socket == "off":
        yield
        return
    from tui_feeder.attach.server import AttachServer
    from tui_feeder.attach.sockets import default_socket_path

    named = config.service.socket != "auto"
    try:
        path = expand_user(config.service.socket) if named else default_socket_path(os.getpid())
        server = AttachServer(
            engine.monitor,
            path,
            f"{exchange_label(config)}, {config.application.storage_path}",
            engine.live,
            effective_values(loaded),
        )
    except FolderError as error:
        if named:
            raise RunError(f"service.socket: {error}") from error
        log.warning("clients cannot attach: %s", error)
        yield
        return
    with contextlib.closing(server), _gateway(config, path):
        log.info("attach with: feeder-tui attach --socket %s", path)
        yield


def _gateway(config: Config, socket: Path) -> contextlib.AbstractContextManager[object]:
    """Serve the store as an exchange, where that is configured."""
    if not config.gateway.enabled:
        return contextlib.nullcontext()
    from tui_feeder.service.gateway.child import GatewayChild

    return contextlib.closing(GatewayChild(config.gateway, socket))


def effective_values(loaded: LoadedConfig) -> tuple[ConfiguredValue, ...]:
    """Lists every value in force as ``config show`` prints it, secrets masked.

    Args:
        loaded: the configuration with the origin of each value.

    Returns:
        The values.
    """
    found: list[ConfiguredValue] = []
    section = ""
    for line in render(loaded).splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, rest = line.partition(" = ")
            value, _, origin = rest.rpartition("  # ")
            found.append(ConfiguredValue(f"{section}.{key}", value, origin))
    return tuple(found)


def _interactive(
    loaded: LoadedConfig,
    store: Store,
    sinks: list[Sink],
    options: Options,
    log_file: Path | None,
    faults: Faults | None,
) -> int:
    from tui_feeder.app import ExitReason, FeederApp, QuitEffect
    from tui_feeder.screens.appearance import ui_settings

    config = loaded.config
    over = threading.Event()
    engine = EngineThread(config, store, sinks, on_end=over.set, rule_file=_rule_file(loaded, options))
    _note_start(engine, options)
    try:
        app = FeederApp(
            engine.monitor, ui_settings(loaded), title="feeder-tui", faults=faults,
            state_file=state_folder() / "screen.json", folder=config_folder(),
            quit_effect=QuitEffect.FORGETS if options.forgets else QuitEffect.STOPS,
            configuration=effective_values(loaded),
        )  # fmt: skip
    except ValueError as error:
        _shut_down(engine, config)
        raise RunError(f"[ui] cannot be used: {error}") from error
    deadline = None if options.run_for is None else time.monotonic() + options.run_for
    timer: threading.Timer | None = None
    if options.run_for is not None:
        timer = threading.Timer(options.run_for, app.request_stop)
        timer.daemon = True
        timer.start()
    crashed = hung_up = False
    try:
        with _attach_server(engine, loaded), serve_configured(engine, loaded):
            reason = app.run()
            crashed, hung_up = reason is None, reason is ExitReason.HANGUP
            if (crashed and options.on_ui_crash == "continue") or (
                hung_up and options.on_hangup == "continue"
            ):
                what = "the screen failed" if crashed else "the terminal is gone"
                log.warning("%s: the feeder goes on without it, SIGTERM stops it", what)
                if crashed:
                    _print_line(
                        f"the screen failed; the feeder goes on without it, ctrl+c stops it; see {log_file}"
                    )
                _run_without_screen(engine, options, over, deadline)
    finally:
        if timer is not None:
            timer.cancel()
        code = _shut_down(engine, config)
    if crashed:
        if options.debug and app.failure is not None:
            traceback.print_exception(app.failure)
        if options.on_ui_crash == "stop":
            _print_line(
                f"the screen failed ({type(app.failure).__name__}); the feeder was shut down cleanly; "
                f"the traceback is in its log {log_file}; --no-ui runs without the screen"
            )
            return 1
    if code == 0 and not hung_up:
        _print_line(f"shut down cleanly; log in {log_file}")
    return code


def _print_line(text: str) -> None:
    """A line on stderr, if there is still one."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"feeder-tui: {text}\n")
        sys.stderr.flush()


def _run_without_screen(
    engine: EngineThread, options: Options, over: threading.Event, deadline: float | None
) -> None:
    """Go on without a screen until the engine ends, a signal comes, or the time is over."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: over.set())
        signal.signal(signal.SIGHUP, lambda *_: _handle_hangup(options.reload, engine))
        wait_for_end(engine, None if deadline is None else max(0.0, deadline - time.monotonic()), over)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shut_down(engine: EngineThread, config: Config) -> int:
    """Shut down cleanly; 1 when that took longer than allowed."""
    engine.request_stop()
    in_time = engine.join(config.service.shutdown_timeout_seconds + 5.0)
    if engine.error is not None:
        raise engine.error
    if not in_time:
        log.error("the engine did not stop in time")
        return 1
    log.info("shut down cleanly")
    return 0
