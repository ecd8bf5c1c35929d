"""What the program uses of libraries beyond what they promise: each use is named and checked.

The upper bounds of textual, textual-serve, aiokafka, typer and websockets in pyproject.toml are for these.
Before raising one, install the new version and run this file and the end-to-end tests of what uses it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from queue import Queue

import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import create_conn
from aiokafka.consumer import group_coordinator
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.partitioner import murmur2
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from fake_monitor import FakeMonitor, with_troubles
from places import ROOT
from screens import app_of, settled
from sources import modules, nodes_of, text_of
from terminals import Picture
from textual._compositor import Compositor
from textual.app import App
from textual.driver import Driver
from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver
from textual.drivers.web_driver import WebDriver
from textual.geometry import Region
from textual.widget import Widget
from textual_serve import server as textual_server
from textual_serve.app_service import AppService
from typer import core
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.frames import Frame, Opcode

from tui_feeder.terminal import CrashLoggingApp, PanelCompositor, PieceUpdate
from tui_feeder.widgets.panel import Panel

#: Each has a test below. The names of a module, and what it uses that begins with an underscore.
USED = {
    "terminal": {
        "_compositor", "_dirty_regions", "_regions_to_spans", "_mouse", "_enable_mouse_support",
        "_disable_mouse_support", "_enable_mouse_pixels",
        "_close_messages_no_wait", "_driver", "_exit_renderables", "_fatal_error", "_file",
        "_get_terminal_size", "_handle_exception", "_print_error_renderables", "_queue", "_size",
        "_writer_thread",
    },
    "commands.serve_run": {"_make_app", "_open_app_process"},
    "engine.cluster.membership": {"_coordinator", "_do_heartbeat"},
    "engine.cluster.producer": {"_txn_manager"},
}  # fmt: skip
#: Modules of aiokafka that its documentation leaves out, and what is imported from them.
UNDOCUMENTED = {
    "client": {"AIOKafkaClient"},
    "cluster": {"ClusterMetadata"},
    "conn": {"create_conn"},
    "coordinator.protocol": {"ConsumerProtocolMemberAssignment", "ConsumerProtocolMemberMetadata"},
    "partitioner": {"murmur2"},
    "protocol.admin": {"CreateTopicsRequest", "DescribeConfigsRequest"},
    "record.default_records": {"DefaultRecordBatchBuilder"},
}
_DOCUMENTED = {"", "abc", "admin", "errors", "helpers", "structs"}
LIBRARIES = ("textual", "textual_serve", "aiokafka", "websockets")
#: Of these undocumented parts are used, which are named nowhere by an underscore.
BOUNDED = (*LIBRARIES, "typer")


def _imports(path: Path) -> set[str]:
    nodes = nodes_of(path)
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _of_others(path: Path) -> Iterator[str]:
    """Private attributes of objects that are not the class itself."""
    for node in nodes_of(path):
        if isinstance(node, ast.Attribute) and _private(node.attr):
            owner = ast.unparse(node.value)
            if owner not in ("self", "cls") and not owner.startswith("super()"):
                yield node.attr
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and _private(name.value):
                yield name.value


@cache
def _source(kind: type) -> str:
    return inspect.getsource(kind)


def _sources() -> Iterator[Path]:
    """The program's modules that import one of the libraries."""
    for path in modules():
        if any(library in text_of(path) for library in LIBRARIES) and _imports(path).intersection(LIBRARIES):
            yield path


def _inherited(module: str) -> Iterator[str]:
    """Private names of the libraries' classes that classes derived from them use or replace."""
    loaded = importlib.import_module(module)
    for _, kind in inspect.getmembers(loaded, inspect.isclass):
        bases = [base for base in kind.__mro__[1:] if base.__module__.partition(".")[0] in LIBRARIES]
        if kind.__module__ != module or not bases:
            continue
        tree = ast.parse(textwrap.dedent(_source(kind)))
        names = {str(getattr(node, "attr", None) or getattr(node, "name", "")) for node in ast.walk(tree)}
        source = "".join(map(_source, bases))
        for name in filter(_private, names):
            if f"def {name}(" in source or f"self.{name} " in source or f"self.{name}:" in source:
                yield name


def test_every_private_use_is_named_here() -> None:
    found: dict[str, set[str]] = {}
    for path in _sources():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        names = {*_of_others(path), *_inherited(module)}
        if names:
            found[module.removeprefix("tui_feeder.")] = names
    assert found == USED, "name it in USED with a test, or do without"


def test_every_undocumented_module_is_named_here() -> None:
    found: dict[str, set[str]] = {}
    for path in _sources():
        for node in nodes_of(path):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "aiokafka":
                module = (node.module or "").partition(".")[2]
                if module not in _DOCUMENTED:
                    found.setdefault(module, set()).update(alias.name for alias in node.names)
    assert found == UNDOCUMENTED, "name it in UNDOCUMENTED with a test, or do without"


def test_libraries_whose_private_parts_are_used_have_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = [*project["dependencies"], *project["optional-dependencies"]["browser"]]
    for library in BOUNDED:
        (requirement,) = [line for line in stated if line.startswith(library.replace("_", "-") + ">=")]
        assert ",<" in requirement, requirement


# Textual: terminal.py draws on a terminal of its own choice, and lets go of one that does not read.


def test_textual_writes_through_a_thread_with_a_bounded_queue_that_none_ends() -> None:
    """``_writer_thread``, ``_queue``: the backlog is counted, emptied, and ended without waiting."""
    assert "self._writer_thread = WriterThread(self._file)" in inspect.getsource(LinuxDriver)
    file = io.StringIO()
    thread = WriterThread(file)
    assert isinstance(thread._queue, Queue)
    assert thread._queue.maxsize > 3
    thread.write("text")
    assert thread._queue.qsize() == 1
    assert thread._queue.get_nowait() == "text"
    thread.write("more")
    thread._queue.put_nowait(None)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert file.getvalue() == "more"


def test_textual_asks_a_driver_for_size_file_and_descriptor() -> None:
    """``_file``, ``_get_terminal_size``, ``fileno``: replaced, as stdout may be a pipe."""
    source = inspect.getsource(LinuxDriver)
    assert "self._file = " in source
    assert "self.fileno = " in source
    assert list(inspect.signature(LinuxDriver._get_terminal_size).parameters) == ["self"]
    assert "self._get_terminal_size()" in source
    assert list(inspect.signature(Driver.__init__).parameters) == ["self", "app", "debug", "mouse", "size"]
    assert {"write", "close", "stop_application_mode"} <= vars(LinuxDriver).keys() | vars(Driver).keys()


async def test_the_compositor_of_panels_shows_what_textuals_shows() -> None:
    """``_compositor`` of a screen; its ``cuts``, ``_dirty_regions``, ``_regions_to_spans``."""
    app = app_of(with_troubles(FakeMonitor(20)))
    regions = {Region(30, 5, 90, 20), Region(0, 0, 7, 60), Region(61, 30, 1, 1), Region(150, 50, 50, 10)}
    async with app.run_test(size=(200, 60)) as pilot:
        for keys in ("1", "s", "escape", "v", "2", "0", "question_mark"):
            await pilot.press(keys)
            await settled(pilot)
            compositor = app.screen._compositor
            assert isinstance(compositor, PanelCompositor)
            shown: list[Picture] = []
            for kind in (PanelCompositor, Compositor):
                compositor._dirty_regions = regions.copy()
                update = kind.render_partial_update(compositor)
                assert update is not None
                assert not compositor._dirty_regions
                shown.append(Picture().feed(update.render_segments(app.console)))
            inside = {(y, x) for r in regions for y in r.line_range for x in r.column_range}
            ours, theirs = ({at: cell for at, cell in p.cells.items() if at in inside} for p in shown)
            assert ours == theirs
            assert len(ours) > 0.95 * len(inside)  # the second cell of a wide character is not written


async def test_what_panels_changed_is_drawn_with_one_message_to_the_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``_dirty_regions``: of all panels but the first they are given to the compositor."""
    terminal, refreshed = Picture(), list[Widget]()
    render, refresh = PanelCompositor.render_partial_update, Panel.refresh

    def rendered(compositor: PanelCompositor) -> PieceUpdate | None:
        update = render(compositor)
        if update is not None:
            terminal.feed(update.render_segments(app.console))
        return update

    def noted(panel: Panel, *regions: Region, **options: bool) -> Panel:
        refreshed.append(panel)
        return refresh(panel, *regions, **options)

    monitor = FakeMonitor(8)
    app = app_of(monitor)
    async with app.run_test(size=(200, 60)) as pilot:
        before = await settled(pilot)
        monkeypatch.setattr(PanelCompositor, "render_partial_update", rendered)
        monkeypatch.setattr(Panel, "refresh", noted)
        for name in list(monitor.views):
            monitor.change(name, change_1m=9.5, change_24h=-8.25, relative_volume=7.5)
        app.tick()
        assert len(refreshed) == 1
        after = await settled(pilot)
        assert sum("+9.50" in line and "-8.25" in line for line in after) == 8
        changed = [
            (y, x) for y, line in enumerate(after) for x, sign in enumerate(line) if sign != before[y][x]
        ]
        assert len({x for _, x in changed}) > 6  # of several columns
        assert all(terminal.cells[y, x][0] == after[y][x] for y, x in changed)


def test_textual_switches_the_mouse_in_methods_of_the_driver() -> None:
    """``_enable_mouse_support``, ``_disable_mouse_support``, ``_enable_mouse_pixels``, ``_mouse``."""
    source = inspect.getsource(LinuxDriver)
    for name in ("_enable_mouse_support", "_disable_mouse_support", "_enable_mouse_pixels"):
        assert list(inspect.signature(getattr(LinuxDriver, name)).parameters) == ["self"]
        assert f"self.{name}()" in source
    assert "self._mouse = mouse" in inspect.getsource(Driver)


async def test_a_page_whose_size_came_while_the_app_started_is_drawn_in_that_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``_size`` of a driver: of a page the newest, which the app may be given before an older one."""
    assert 'self._size = (payload["width"], payload["height"])' in inspect.getsource(WebDriver.on_meta)
    app = app_of(FakeMonitor(3))
    async with app.run_test(size=(120, 38)) as pilot:
        await settled(pilot)
        assert app._driver is not None
        app._driver._size = (120, 31)
        app.tick()
        await settled(pilot)
        assert app.size == (120, 38), "of a terminal the driver does not know"
        monkeypatch.setattr(type(app._driver), "is_web", True)
        app.tick()
        while app.size != (120, 31):
            await pilot.pause()
        assert "? help" in (await settled(pilot))[30]


def test_textual_keeps_its_driver_where_the_backlog_is_read() -> None:
    """``_driver`` of an app."""
    assert "self._driver = " in inspect.getsource(App)


async def test_textual_hands_a_crash_to_the_methods_that_are_replaced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``_handle_exception``, ``_fatal_error``, ``_close_messages_no_wait``, ``_print_error_renderables``."""

    class Crashing(CrashLoggingApp[None]):
        def on_mount(self) -> None:
            raise ZeroDivisionError

    app = Crashing()
    with pytest.raises(ZeroDivisionError):
        async with app.run_test():
            pass
    assert isinstance(app.failure, ZeroDivisionError)
    for name in ("_handle_exception", "_fatal_error", "_close_messages_no_wait", "_print_error_renderables"):
        assert callable(getattr(App, name)), name
    assert app._exit_renderables == []
    assert "Traceback" not in capsys.readouterr().err


# textual-serve: the pages of ``serve`` share its server, behind checks and bounds of our own.


def test_textual_serve_makes_services_by_the_name_that_is_replaced() -> None:
    """``server.AppService``, ``_open_app_process``: its processes are known, and ended with it."""
    assert " AppService(" in inspect.getsource(textual_server.Server)
    assert list(inspect.signature(AppService._open_app_process).parameters) == ["self", "width", "height"]
    assert "await self._open_app_process(" in inspect.getsource(AppService)


async def test_textual_serve_makes_an_application_that_can_be_guarded(tmp_path: Path) -> None:
    """``_make_app``: middlewares are added before it is served; the socket of pages is at ``/ws``."""
    server = textual_server.Server("true", "127.0.0.1", 1, templates_path=tmp_path)
    app = await server._make_app()
    assert isinstance(app, web.Application)
    assert not app.frozen
    assert {"/", "/ws"} <= {route.resource.canonical for route in app.router.routes() if route.resource}
    assert "self.public_url" in inspect.getsource(textual_server.Server.handle_index)


# aiokafka: membership hears heartbeats, a producer is ended without waiting, and doctor asks the cluster.


def test_aiokafka_sends_heartbeats_by_the_method_that_is_replaced() -> None:
    """``_coordinator``, ``_do_heartbeat``: an answered heartbeat is the proof of membership."""
    assert "self._coordinator = GroupCoordinator(" in inspect.getsource(AIOKafkaConsumer)
    assert inspect.iscoroutinefunction(GroupCoordinator._do_heartbeat)
    assert "await self._do_heartbeat()" in inspect.getsource(GroupCoordinator)
    source = inspect.getsource(GroupCoordinator)
    assert "self.generation = " in source
    assert "self.member_id = " in source
    assert "self._coordinator.check_errors()" in inspect.getsource(AIOKafkaConsumer.getmany)


async def test_aiokafka_keeps_the_epoch_of_a_transactional_producer() -> None:
    """``_txn_manager``: its epoch orders the owners of a partition; topics are asked for at once."""
    assert "self._txn_manager = " in inspect.getsource(AIOKafkaProducer)
    manager = TransactionManager("id", 1_000)
    manager.set_pid_and_epoch(7, 3)
    assert manager.producer_epoch == 3
    manager.begin_transaction()
    manager.maybe_add_partition_to_txn(TopicPartition("data", 1))
    assert manager.partitions_to_add() == {TopicPartition("data", 1)}


def test_aiokafka_asks_an_assignor_as_the_cluster_answers() -> None:
    """``partition_assignment_strategy``: an object is called as the classes of aiokafka are."""
    source = inspect.getsource(group_coordinator)
    for call in ("assignor.name", "assignor.metadata(", "assignor.assign(", "assignor.on_assignment("):
        assert call in source, call


def test_aiokafka_puts_a_key_where_other_clients_do() -> None:
    """``murmur2`` of the default partitioner; the values are those of Kafka's own test of Utils.murmur2."""
    assert [murmur2(key) & 0xFFFFFFFF for key in (b"21", b"foobar", b"a-little-bit-long-string")] == [
        -973932308 & 0xFFFFFFFF, -790332482 & 0xFFFFFFFF, -985981536 & 0xFFFFFFFF,
    ]  # fmt: skip


def test_aiokafka_has_the_modules_that_its_documentation_leaves_out() -> None:
    """Client, connection, cluster, requests, batches and group protocol."""
    for name in ("bootstrap", "ready", "send", "close", "fetch_all_metadata", "force_metadata_update",
                 "set_topics", "get_random_node"):  # fmt: skip
        assert callable(getattr(AIOKafkaClient, name)), name
    for name in ("brokers", "partitions_for_topic"):
        assert callable(getattr(ClusterMetadata, name)), name
    source = inspect.getsource(ClusterMetadata)
    assert "self.unauthorized_topics = " in source
    assert "controller" in source
    assert {
        "client_id", "request_timeout_ms", "security_protocol", "ssl_context", "sasl_mechanism",
        "sasl_plain_username", "sasl_plain_password",
    } <= set(inspect.signature(create_conn).parameters)  # fmt: skip
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    builder.append(0, 1, b"key", b"value", [])
    assert b"value" in bytes(builder.build())
    assert callable(CreateTopicsRequest)
    assert callable(DescribeConfigsRequest)
    assert issubclass(errors.ProducerFenced, errors.KafkaError)
    assert ConsumerProtocolMemberMetadata(0, ["topic"], b"").encode()
    assert ConsumerProtocolMemberAssignment(0, [("topic", [0])], b"").encode()


# websockets: text frames are taken where the connection decodes them, without a task for each.


def test_websockets_passes_every_event_to_the_method_that_is_replaced() -> None:
    """``ClientConnection.process_event``, ``connect(create_connection=)``, ``transport``."""
    assert "self.process_event(event)" in inspect.getsource(Connection.data_received)
    assert list(inspect.signature(Connection.process_event).parameters) == ["self", "event"]
    assert "create_connection" in inspect.signature(connect.__init__).parameters
    assert list(inspect.signature(ClientConnection.__init__).parameters)[:2] == ["self", "protocol"]
    assert "self.transport = " in inspect.getsource(Connection)
    frame = Frame(Opcode.TEXT, b"{}")
    assert (frame.opcode, frame.data, frame.fin) == (Opcode.TEXT, b"{}", True)


# typer: values of options are converted without pydantic.


def test_typer_makes_what_converts_values_by_the_function_that_is_replaced() -> None:
    """``core.build_runtime_param``, ``coerce``, ``type_descriptor``; results: test_option_values.py."""
    source = inspect.getsource(core)
    assert "build_runtime_param(self.type_descriptor)" in source
    assert ".coerce(value, param=self, ctx=ctx)" in source
