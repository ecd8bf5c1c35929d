"""The log: its levels, its forms, its files, and what must never be in it."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import COMMAND, command, environment
from feed import NOON
from msgspec.structs import replace
from preloaded import start_process

from tui_feeder.config import Config, ConfigError, load
from tui_feeder.configuration.sections import Database, Kafka, KafkaSecurity, Service
from tui_feeder.logs import MOVED, LogError, RotatedFile, apply_log_levels, configure_logging
from tui_feeder.safe_text import MASK, Secret
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

log = logging.getLogger("tui_feeder.engine.exchanges.binance.rest_client")
other = logging.getLogger("tui_feeder.engine.acquisition.backfill")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The log of the tests themselves, after one that set up another."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    apply_log_levels(Service())
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def configured(**service: object) -> Config:
    return Config(service=Service(**service))


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def test_single_modules_have_levels_of_their_own_until_they_are_stated_no_more(tmp_path: Path) -> None:
    file = tmp_path / "feeder.log"
    stated = ("tui_feeder.engine.exchanges.binance=debug", "tui_feeder.engine.acquisition.backfill=error")
    configure_logging(configured(log_level="warning", log_levels=stated), file)
    log.debug("one")
    other.warning("two")
    logging.getLogger("tui_feeder.app").info("three")
    logging.getLogger("tui_feeder.app").warning("four")
    apply_log_levels(Service(log_level="info"))
    log.debug("five")
    log.info("six")
    other.info("seven")
    logging.getLogger("aiohttp.access").info("eight")
    assert [line.rpartition(" ")[2] for line in lines(file)] == ["one", "four", "six", "seven"]


def test_a_level_for_a_module_that_is_not_there_is_told(tmp_path: Path) -> None:
    configure_logging(
        configured(log_levels=("tui_feeder.engine.binace=debug", "asyncio=info")), tmp_path / "log"
    )
    (line,) = lines(tmp_path / "log")
    assert "there is no module tui_feeder.engine.binace" in line


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tui_feeder.engine.binance", "tui_feeder.engine.exchanges.binance"),
        ("tui_feeder.engine.binance.stream", "tui_feeder.engine.exchanges.binance.stream_connection"),
        ("tui_feeder.engine.store", "tui_feeder.engine.storage.store"),
        ("tui_feeder.engine.alerts.desk", "tui_feeder.engine.alerts.manager"),
    ],
)
def test_a_level_for_a_renamed_module_holds_for_its_new_name_with_a_warning(
    tmp_path: Path, old: str, new: str
) -> None:
    configure_logging(configured(log_level="info", log_levels=(f"{old}=debug",)), tmp_path / "log")
    (line,) = lines(tmp_path / "log")
    assert f"the module {old} is now {new}" in line
    assert logging.getLogger(new).level == logging.DEBUG
    assert logging.getLogger(old).level == logging.NOTSET
    apply_log_levels(Service(log_level="info"))
    assert logging.getLogger(new).level == logging.NOTSET


def test_every_renamed_module_is_gone_and_its_new_name_is_one_that_logs() -> None:
    for old, new in MOVED.items():
        with pytest.raises(ImportError):
            importlib.import_module(old)
        found = importlib.import_module(new)
        assert hasattr(found, "log") or hasattr(found, "__path__"), new


@pytest.mark.parametrize(
    "wrong", ["tui_feeder.engine", "tui_feeder=loud", "=debug", "a b=debug", "a..b=info"]
)
def test_levels_that_make_no_sense_are_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="module=level"):
        load(None, environ={"FEEDER_SERVICE__LOG_LEVELS": wrong}, flags={})


def test_files_are_put_aside_at_their_size_kept_by_number_and_private(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "feeder.log"
    configure_logging(configured(log_rotate_mb=1, log_keep=2), file)
    for number in range(3_600):
        log.info("%d %s", number, "x" * 1_000)
    there = sorted(path.name for path in file.parent.iterdir())
    assert there == ["feeder.log", "feeder.log.1", "feeder.log.2"]
    for path in file.parent.iterdir():
        assert path.stat().st_size <= 1_000_000
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert " 3599 x" in lines(file)[-1]


def test_json_is_one_object_a_line_with_the_traceback_in_it(tmp_path: Path) -> None:
    configure_logging(configured(log_format="json"), tmp_path / "log")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("went wrong: %s", "ä\n")
    (line,) = lines(tmp_path / "log")
    told = json.loads(line)
    assert (told["level"], told["logger"], told["message"]) == ("error", log.name, "went wrong: ä\n")
    assert "ValueError: two\nlines" in told["traceback"]


@pytest.mark.parametrize("form", ["human", "json"])
def test_secrets_are_masked_whoever_logs_them(tmp_path: Path, form: str) -> None:
    config = replace(
        configured(log_format=form),
        database=Database(password=Secret('pa"ss-word')),
        kafka=Kafka(security=KafkaSecurity(sasl_password=Secret('pa"ss-word-of-kafka'))),
    )
    configure_logging(config, tmp_path / "log")
    log.warning('connecting to postgresql://me:pa"ss-word@host')
    try:
        raise ValueError('pa"ss-word-of-kafka refused')
    except ValueError:
        log.exception("no login")
    text = (tmp_path / "log").read_text()
    assert text.count(MASK) == 3  # the traceback quotes its line of the source
    assert "ss-word" not in text
    assert "of-kafka" not in text


def test_lines_that_a_full_disk_refuses_are_counted_and_told_of(tmp_path: Path) -> None:
    program = f"""
import logging, resource, sys
from pathlib import Path
from tui_feeder.config import Config
from tui_feeder.logs import configure_logging

file = Path({str(tmp_path / "log")!r})
configure_logging(Config(), file)
log = logging.getLogger("tui_feeder.test")
log.info("before")
resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, resource.RLIM_INFINITY))
for number in range(3):
    log.info("lost")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("after")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""  # it may be the screen
    told = lines(tmp_path / "log")
    assert told[0].endswith(" before")
    assert told[-1].endswith(" after")
    assert any("log lines could not be written" in line for line in told)


def test_a_log_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"service\.log_file"):
        configure_logging(Config(), tmp_path)
    done = command("--no-ui", cwd=tmp_path, FEEDER_SERVICE__LOG_FILE=str(tmp_path))
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "the log cannot be written to" in done.err


async def test_a_headless_feeder_logs_to_its_file_changes_levels_on_hangup_and_tells_no_secret(
    tmp_path: Path,
) -> None:
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    config, file = tmp_path / "config.toml", tmp_path / "feeder.log"

    def write(levels: str, port: int = 1) -> None:
        config.write_text(
            f"[application]\nsymbols = ['BTCUSDT']\nstorage_path = '{tmp_path / 'store'}'\n"
            "health_server_port = 0\n[technical_analysis]\nmin_history_days = 1\n"
            f"[database]\nenabled = true\nport = {port}\nhost = '127.0.0.1'\npassword = 'hunter-two'\n"
            f"[alerts]\nwebhook_url = 'http://127.0.0.1:1/token-of-mine'\n"
            f"[service]\nlog_file = '{file}'\nlog_format = 'json'\nsocket = 'off'\nlog_levels = {levels}\n"
        )

    async with Exchange(market, clock_for(market, start_ms=NOON, rate=60.0)) as exchange:
        write("['tui_feeder=warning']")
        process = await start_process(
            *COMMAND, "--config", str(config), "--no-ui", stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, env=environment(exchange),
        )  # fmt: skip

        async def until_told(*words: str) -> None:
            for _ in range(600):
                if file.exists() and all(word in file.read_text() for word in words):
                    return
                await asyncio.sleep(0.1)
            raise AssertionError(file.read_text() if file.exists() else "no log")

        await until_told("postgres")
        assert '"level": "info"' not in file.read_text()
        file.rename(tmp_path / "moved")  # as logrotate does; at this level no line comes by itself
        write("['tui_feeder=error']")
        process.send_signal(signal.SIGHUP)
        for _ in range(1_000):
            if file.exists():
                break
            await asyncio.sleep(0.02)
        assert file.exists()
        write("['tui_feeder.engine.alerts=error']", port=2)
        process.send_signal(signal.SIGHUP)
        await until_told("configuration read again", " closed: 1 of 1 symbols")
        assert "a restart is needed for the new values of database.port" in file.read_text()
        process.terminate()
        _, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0
        told = file.read_text()
        assert "shut down cleanly" in told
        for line in told.splitlines():
            assert json.loads(line)["level"] in ("debug", "info", "warning", "error")
        for secret in ("hunter-two", "token-of-mine"):
            assert secret not in told
            assert secret not in err.decode()
        assert f"the log goes to {file}" in err.decode()


def test_of_a_rotated_file_nothing_is_lost_while_it_can_be_written(tmp_path: Path) -> None:
    handler = RotatedFile(tmp_path / "log", maxBytes=200, backupCount=50, encoding="utf-8")
    for number in range(40):
        handler.emit(logging.LogRecord("a", logging.INFO, "", 0, f"line {number}", (), None))
    handler.close()
    found = [line for path in tmp_path.iterdir() for line in lines(path)]
    assert sorted(found) == sorted(f"line {number}" for number in range(40))


def test_a_file_that_logrotate_moves_is_begun_anew_with_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "feeder.log"
    configure_logging(Config(), path)
    log.warning("before")
    path.rename(tmp_path / "feeder.log.1")
    log.warning("after")
    path.unlink()
    log.warning("later")
    assert (tmp_path / "feeder.log.1").read_text().endswith("warning before\n")
    assert path.read_text().count("\n") == 1
    assert path.read_text().endswith("warning later\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.rename(tmp_path / "gone")
    path.mkdir()  # there can be no file of that name: nothing is lost meanwhile
    log.warning("even so")
    assert (tmp_path / "gone").read_text().endswith("warning even so\n")


def test_two_runs_never_write_into_one_log(tmp_path: Path) -> None:
    path = tmp_path / "feeder-tui.log"
    others = [RotatedFile(path)]
    try:
        assert configure_logging(Config(), path, own=True) == tmp_path / "feeder-tui-2.log"
        log.warning("mine")
        others.append(RotatedFile(tmp_path / "feeder-tui-3.log"))
        assert configure_logging(Config(), path, own=True) == tmp_path / "feeder-tui-2.log"
        with pytest.raises(LogError, match="another run writes its log to"):
            configure_logging(Config(), path)
    finally:
        for one in others:
            one.close()
    assert path.read_text() == ""
    assert "mine" in (tmp_path / "feeder-tui-2.log").read_text()
    assert configure_logging(Config(), path, own=True) == path
