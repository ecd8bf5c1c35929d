"""The way out: REST, streams, archive and webhooks all go through the proxy that is named, and none else."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from commanding import COMMAND, Done, command, environment
from feed import until
from preloaded import start_process
from proxying import HOST, SmallProxy, certificate, proxying, secured

from tui_feeder.addresses import ProxyAddress
from tui_feeder.config import Alerts, ConfigError, load, render
from tui_feeder.engine.alerts.outputs import Webhook
from tui_feeder.engine.alerts.rules import Alert
from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.proxy import Proxies, ProxyError
from tui_feeder.engine.exchanges.base import ArchiveError, RestError, StreamHandlers
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.exchanges.binance.stream_pool import MarketStreams
from tui_feeder.logs import configure_logging
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000
SYMBOLS = ["BTCUSDT", "ETHUSDT"]
USER = "feeder:p%40ss w0rd".replace(" ", "%20")  # as it stands in a URL
PLAIN = "feeder:p@ss w0rd"


def exchange_at(rate: float = 20.0) -> Exchange:
    market = synthetic_market(SYMBOLS, as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=NOON, rate=rate))


# --- which proxy ----------------------------------------------------------------------------------

BOTH = {"HTTPS_PROXY": "http://secure:1", "HTTP_PROXY": "plain:2", "ALL_PROXY": "socks5h://any:3"}


@pytest.mark.parametrize(
    ("environ", "url", "wanted"),
    [
        ({}, "https://a.b", None),
        (BOTH, "https://a.b", "http://secure:1 (HTTPS_PROXY)"),
        (BOTH, "wss://a.b/market", "http://secure:1 (HTTPS_PROXY)"),
        (BOTH, "http://a.b", "http://plain:2 (HTTP_PROXY)"),
        (BOTH, "ws://a.b", "http://plain:2 (HTTP_PROXY)"),
        ({"all_proxy": "socks5h://any:3"}, "https://a.b", "socks5h://any:3 (all_proxy)"),
        (BOTH | {"https_proxy": "http://small:9"}, "https://a.b", "http://small:9 (https_proxy)"),
        (BOTH | {"https_proxy": ""}, "https://a.b", None),
        ({"HTTPS_PROXY": "proxy"}, "https://a.b", "http://proxy:80 (HTTPS_PROXY)"),
        (BOTH, "http://127.0.0.1:4", None),
        (BOTH, "ws://localhost:4", None),
        (BOTH, "http://[::1]:4", None),
        (BOTH | {"NO_PROXY": "*"}, "https://a.b", None),
        (BOTH | {"NO_PROXY": "x.y, b"}, "https://a.b", None),
        (BOTH | {"no_proxy": ".a.b"}, "https://c.A.b", None),
        (BOTH | {"no_proxy": "*.a.b"}, "https://c.a.b", None),
        (BOTH | {"no_proxy": "aa.b"}, "https://a.b", "http://secure:1 (HTTPS_PROXY)"),
        (BOTH | {"no_proxy": "b"}, "https://ab", "http://secure:1 (HTTPS_PROXY)"),
        (BOTH | {"no_proxy": "a.b:443"}, "https://a.b", None),
        (BOTH | {"no_proxy": "a.b:444"}, "https://a.b", "http://secure:1 (HTTPS_PROXY)"),
        (BOTH | {"no_proxy": "10.0.0.0/8"}, "https://10.1.2.3", None),
        (BOTH | {"no_proxy": "10.0.0.0/8"}, "https://11.1.2.3", "http://secure:1 (HTTPS_PROXY)"),
    ],
)
def test_the_environment_names_it_as_for_other_programs(
    environ: Mapping[str, str], url: str, wanted: str | None
) -> None:
    found = Proxies(environ=environ).of(url)
    assert (None if found is None else str(found)) == wanted


def test_the_configuration_overrides_the_environment() -> None:
    stated = Proxies(ProxyAddress("http://mine:5"), BOTH | {"NO_PROXY": "*"})
    assert str(stated.of("wss://a.b")) == "http://mine:5 (exchange.proxy)"
    assert stated.of("http://127.0.0.1:1") is None
    assert Proxies("none", BOTH).of("https://a.b") is None


def test_what_is_no_address_is_told_without_its_password() -> None:
    with pytest.raises(ProxyError) as told:
        Proxies(environ={"HTTPS_PROXY": "gopher://me:secret@host:1"}).of("https://a.b")
    text = str(told.value)
    assert text.startswith(
        "HTTPS_PROXY in the environment is of a kind that is not known: 'gopher://********@host:1'; "
    )
    assert '"socks5h://host:port"' in text
    assert "secret" not in text


def test_socks_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ProxyError) as told:
        Proxies(ProxyAddress("socks5://me:secret@host:1"), {}).of("https://a.b")
    assert str(told.value) == (
        "the proxy socks5://me:********@host:1 (exchange.proxy) needs a package more: "
        "pip install 'feeder-tui[socks]'; an HTTP proxy needs none"
    )


# --- the key --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["none", "http://host:1", "host:3128", "socks5h://u:p%40@[::1]:1080"])
def test_the_key_takes_an_address_or_none(text: str) -> None:
    loaded = load(None, environ={"FEEDER_EXCHANGE__PROXY": text})
    proxy = loaded.config.exchange.proxy
    assert proxy == (text if text == "none" else ProxyAddress(text))


def test_no_print_and_no_log_line_shows_the_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load(None, environ={"FEEDER_EXCHANGE__PROXY": "http://me:secret@host:1"})
    assert 'proxy = "http://me:********@host:1"' in render(loaded)
    assert "secret" not in render(loaded) + repr(loaded)
    before = logging.getLogger().handlers[:]
    try:
        configure_logging(loaded.config, tmp_path / "log")
        logging.getLogger("x").warning("the library says http://me:secret@host:1")
    finally:
        logging.getLogger().handlers[:] = before
    assert "http://me:********@host:1" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    "text",
    ["", "ftp://me:secret@host:1", "http://me:secret@:1", "http://me:secret@host:99999", "http://h/secret"],
)
def test_the_key_refuses_what_is_none_and_hides_what_may_be_secret(text: str) -> None:
    with pytest.raises(ConfigError) as told:
        load(None, environ={"FEEDER_EXCHANGE__PROXY": text})
    assert "exchange.proxy" in str(told.value)
    assert "socks5h://host:port" in str(told.value)
    assert "me:secret" not in str(told.value)


# --- real ones ------------------------------------------------------------------------------------


@dataclass
class _Asked:
    """What the three ways gave."""

    symbols: list[str]
    minutes: int
    frames: int


async def _ask(proxies: Proxies, port: int) -> _Asked:
    """REST, archive and stream of an exchange whose name only the proxy knows."""
    clock = ExchangeClock(20.0)
    rest = RestClient(f"http://{HOST}:{port}", clock, proxies=proxies)
    workers = ThreadPoolExecutor(1)
    archive = ArchiveClient(f"http://{HOST}:{port}", workers, proxies=proxies)
    frames: list[str] = []
    handlers = StreamHandlers(lambda symbol, *_: frames.append(symbol), lambda *_: None)
    streams = MarketStreams(f"ws://{HOST}:{port}", SYMBOLS, clock, handlers, proxies)
    running = asyncio.create_task(streams.run())
    try:
        await rest.sync_clock()
        symbols = sorted((await rest.listings()).symbols)
        day = NOON // DAY_MS * DAY_MS - 2 * DAY_MS
        rows = (await archive.fetch(File(day, day + DAY_MS, FileKind.DAY), "BTCUSDT")).rows
        await until(lambda: frames, why=streams.sockets[0].reason)
        return _Asked(symbols, len(rows), len(frames))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await rest.close()
        await archive.close()
        workers.shutdown()


@pytest.mark.parametrize(
    ("kind", "scheme", "user", "first"),
    [
        ("http", "http", "", f"GET http://{HOST}:"),
        ("http", "http", USER, f"GET http://{HOST}:"),
        ("socks", "socks5h", "", f"SOCKS5 {HOST}:"),
        ("socks", "socks5h", USER, f"SOCKS5 {HOST}:"),
        ("socks", "socks4a", "", f"SOCKS4 {HOST}:"),
    ],
)
async def test_all_three_go_through_it(kind: str, scheme: str, user: str, first: str) -> None:
    if kind == "socks":
        pytest.importorskip("aiohttp_socks")
    async with exchange_at() as exchange, proxying(kind, PLAIN if user else "") as proxy:
        port = urlsplit(exchange.rest_url).port
        assert port is not None
        found = await _ask(Proxies(ProxyAddress(proxy.url(scheme, user)), {}), port)
        assert set(SYMBOLS) <= set(found.symbols)
        assert found.minutes == 1440
        assert found.frames
        assert proxy.asked[0].startswith(first)
        ways = {one.split(" ")[0] for one in proxy.asked}
        assert ways == ({"GET", "CONNECT"} if kind == "http" else {first.split(" ")[0]})


async def test_an_exchange_on_this_machine_is_never_proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with exchange_at() as exchange:
        rest = RestClient(exchange.rest_url, ExchangeClock(20.0))
        try:
            assert set(SYMBOLS) <= set((await rest.listings()).symbols)
        finally:
            await rest.close()


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest.mark.parametrize("trouble", ["away", "user", "refuses"])
async def test_errors_name_the_proxy_and_hide_its_password(scheme: str, trouble: str) -> None:
    if scheme == "socks5h":
        pytest.importorskip("aiohttp_socks")
    async with proxying(
        "http" if scheme == "http" else "socks", "other:one" if trouble == "user" else ""
    ) as proxy:
        proxy.refuses = trouble == "refuses"
        address = ProxyAddress(f"{scheme}://me:secret@127.0.0.1:{1 if trouble == 'away' else proxy.port}")
        proxies = Proxies(address, {})
        where = f" through the proxy {scheme}://me:********@127.0.0.1:{address.port} (exchange.proxy): "
        clock = ExchangeClock()
        rest = RestClient(f"https://{HOST}", clock, proxies=proxies)
        with pytest.raises(RestError) as told:
            await rest.server_time()
        await rest.close()
        assert told.value.kind == "unreachable"
        assert str(told.value).startswith(f"https://{HOST} is unreachable{where}")
        workers = ThreadPoolExecutor(1)
        archive = ArchiveClient(f"https://{HOST}", workers, proxies=proxies)
        with pytest.raises(ArchiveError) as archived:
            await archive.fetch(File(0, DAY_MS, FileKind.DAY), "BTCUSDT")
        await archive.close()
        workers.shutdown()
        assert where in str(archived.value)
        streams = MarketStreams(
            f"wss://{HOST}", SYMBOLS, clock, StreamHandlers(lambda *_: None, lambda *_: None), proxies
        )
        running = asyncio.create_task(streams.run())
        await until(lambda: streams.sockets[0].reason)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        reason = streams.sockets[0].reason
        assert reason.startswith(where.lstrip())
        assert "secret" not in f"{told.value}{archived.value}{reason}"
        if trouble == "away":
            assert str(told.value).endswith(": it cannot be connected (Connection refused)")
            assert reason.endswith(": it cannot be connected (Connection refused)")
        if (scheme, trouble) == ("http", "user"):
            assert "it answers 407 Proxy Authentication Required" in str(told.value)


async def test_a_webhook_goes_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[object] = []

    async def take(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with proxying() as proxy:
            monkeypatch.setenv("http_proxy", proxy.url("http"))
            journal = Journal(lambda: NOON)
            hook = Webhook(f"http://{HOST}:{runner.addresses[0][1]}/hook", Alerts(), journal)
            running = asyncio.create_task(hook.run())
            hook.send(Alert(NOON, "rule", "kind", "BTCUSDT", "text", {}), b'{"x": 1}')
            await until(lambda: bodies)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert proxy.asked == [f"POST http://{HOST}:{runner.addresses[0][1]}/hook"]
    finally:
        await runner.cleanup()


# --- a user's view: TLS from end to end -----------------------------------------------------------


async def _doctor(tmp_path: Path, **env: str) -> tuple[Done, dict[str, dict[str, str]]]:
    process = await start_process(
        *COMMAND, "doctor", "--json", "--storage", str(tmp_path / "store"),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(None, **env), cwd=tmp_path,
    )  # fmt: skip
    async with asyncio.timeout(90):
        out, err = await process.communicate()
    done = Done(process.returncode or 0, out.decode(), err.decode())
    return done, {one["check"]: one for one in json.loads(done.out)["findings"]}


@asynccontextmanager
async def _behind_tls(tmp_path: Path, kind: str) -> AsyncIterator[tuple[SmallProxy, dict[str, str]]]:
    authority, context = certificate(tmp_path)
    async with (
        exchange_at() as exchange,
        secured(urlsplit(exchange.rest_url).port or 0, context) as port,
        proxying(kind, PLAIN) as proxy,
    ):
        yield (
            proxy,
            {
                "FEEDER_EXCHANGE__REST_URL": f"https://{HOST}:{port}",
                "FEEDER_EXCHANGE__STREAM_URL": f"wss://{HOST}:{port}",
                "FEEDER_EXCHANGE__ARCHIVE_URL": f"https://{HOST}:{port}",
                "FEEDER_EXCHANGE__CLOCK_RATE": "20.0",
                "FEEDER_APPLICATION__HEALTH_SERVER_PORT": "0",
                "SSL_CERT_FILE": str(authority),
            },
        )


@pytest.mark.parametrize("kind", ["http", "socks"])
async def test_doctor_reaches_everything_through_it_and_names_it(tmp_path: Path, kind: str) -> None:
    if kind == "socks":
        pytest.importorskip("aiohttp_socks")
    scheme = "http" if kind == "http" else "socks5h"
    async with _behind_tls(tmp_path, kind) as (proxy, env):
        done, found = await _doctor(tmp_path, HTTPS_PROXY=proxy.url(scheme, USER), **env)
        shown = f"{scheme}://feeder:********@127.0.0.1:{proxy.port} (HTTPS_PROXY)"
        assert found["proxy"] == {
            "check": "proxy", "state": "ok", "text": f"REST, streams, archive: through {shown}", "remedy": "",
        }  # fmt: skip
        states = {name: one["state"] for name, one in found.items()}
        assert {states[name] for name in ("names", "REST", "archive", "streams")} == {"ok"}, done.out
        assert "w0rd" not in done.out + done.err
        assert all(one.split(" ")[0] in ("CONNECT", "SOCKS5") for one in proxy.asked)


async def test_doctor_and_a_run_say_what_is_wrong_with_it(tmp_path: Path) -> None:
    async with _behind_tls(tmp_path, "http") as (proxy, env):
        done, found = await _doctor(tmp_path, HTTPS_PROXY=proxy.url("http", "feeder:wrong"), **env)
        assert done.code == 4
        assert "it answers 407 Proxy Authentication Required" in found["REST"]["text"]
        assert f"through the proxy http://feeder:********@127.0.0.1:{proxy.port}" in found["streams"]["text"]
        done, found = await _doctor(tmp_path, HTTPS_PROXY="ftp://x", **env)
        assert found["proxy"]["state"] == "fail"
        run = await asyncio.to_thread(command, "--no-ui", cwd=tmp_path, HTTPS_PROXY="ftp://x", **env)
        assert run.code == 1
        assert (
            "feeder-tui: HTTPS_PROXY in the environment is of a kind that is not known: 'ftp://x'" in run.err
        )
        assert "Traceback" not in run.err
