"""What a configuration needs of this machine: config check, a run and doctor say the same of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from authority import Authority
from commanding import command
from msgspec.structs import replace

from tui_feeder.config import Alerts, Config, Database, File, Kafka, KafkaSecurity, Service
from tui_feeder.configuration.requirements import unmet_requirements

TLS = {
    "FEEDER_KAFKA__ENABLED": "true",
    "FEEDER_KAFKA__SECURITY__PROTOCOL": "SSL",
    "FEEDER_KAFKA__SECURITY__SSL_CAFILE": "/nowhere/ca.pem",
}


def said(config: Config) -> list[tuple[str, str]]:
    return [(need.key, need.message) for need in unmet_requirements(config)]


def test_the_defaults_need_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert said(Config()) == []


@pytest.mark.parametrize(
    ("package", "settings"),
    [
        ("aiokafka", {"FEEDER_KAFKA__ENABLED": "true"}),
        ("asyncpg", {"FEEDER_DATABASE__ENABLED": "true"}),
        ("cramjam", {"FEEDER_FILE__ENABLED": "true", "FEEDER_FILE__COMPRESSION": "zstd"}),
        ("cramjam", {"FEEDER_TRADES__SYMBOLS": "BTCUSDT"}),
    ],
)
def test_a_package_that_cannot_be_imported_ends_a_run_as_the_check_says(
    tmp_path: Path, package: str, settings: dict[str, str]
) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError('it is broken')")
    settings = settings | {"PYTHONPATH": str(tmp_path)}
    expected = f"needs the package {package}, which cannot be imported (it is broken)"
    checked = command("config", "check", cwd=tmp_path, **settings)
    assert checked.code == 2
    assert expected in checked.err
    assert "install feeder-tui again" in checked.err
    run = command("--no-ui", "--run-for", "1", cwd=tmp_path, **settings)
    assert (run.code, run.err) == (2, checked.err)  # a unit does not start it again
    assert not (tmp_path / "lmdb_data").exists()


def test_a_tls_file_that_is_not_there_is_told_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[kafka]\nenabled = true\n[kafka.security]\nprotocol = "SSL"\nssl_cafile = "/nowhere/ca.pem"\n'
    )
    expected = (
        "config.toml:5: kafka.security.ssl_cafile names /nowhere/ca.pem, which cannot be read: No such file"
    )
    for done in (
        command("config", "check", cwd=tmp_path),
        command("--no-ui", "--run-for", "1", cwd=tmp_path),
    ):
        assert done.code == 2
        assert expected in done.err


def test_doctor_says_it_once_with_the_same_words(tmp_path: Path) -> None:
    nowhere = {f"FEEDER_EXCHANGE__{name}_URL": "http://127.0.0.1:1" for name in ("REST", "ARCHIVE")}
    done = command(
        "doctor", "--json", "--patience", "1", cwd=tmp_path, **TLS, **nowhere,
        FEEDER_EXCHANGE__STREAM_URL="ws://127.0.0.1:1",
    )  # fmt: skip
    found = json.loads(done.out)["findings"]
    told = [one for one in found if "ca.pem" in one["text"]]
    assert [(one["check"], one["state"], one["remedy"]) for one in told] == [
        ("config", "fail", "check its path, owner and mode")
    ]
    assert not [one for one in found if one["check"] == "Kafka"]
    assert [one["text"] for one in found if one["check"] == "PostgreSQL"] == ["off"]


def test_certificates_and_keys_are_tried(tmp_path: Path) -> None:
    try:
        authority = Authority(tmp_path / "tls")
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")

    def with_files(cafile: Path, certfile: Path | None, keyfile: Path | None) -> list[str]:
        security = KafkaSecurity(
            protocol="SSL", ssl_cafile=cafile, ssl_certfile=certfile, ssl_keyfile=keyfile
        )
        config = replace(Config(), kafka=replace(Kafka(), enabled=True, security=security))
        return [key for key, _ in said(config)]

    good, key = authority.certificate, authority.key
    assert with_files(good, None, None) == []
    assert with_files(good, good, key) == []
    assert with_files(junk, good, key) == ["kafka.security.ssl_cafile"]
    assert with_files(good, good, junk) == ["kafka.security.ssl_certfile"]
    database = replace(Database(), enabled=True, ssl_mode="verify-full", ssl_cafile=junk)
    assert [key for key, _ in said(replace(Config(), database=database))] == ["database.ssl_cafile"]


def test_folders_and_programs_are_looked_at(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    config = Config()
    config = replace(
        config,
        application=replace(config.application, storage_path=plain / "store"),
        file=File(enabled=True, path=plain / "out"),
        service=replace(Service(), log_file=plain / "log" / "feeder.log"),
        alerts=replace(Alerts(), command=("no-such-program", "{text}")),
    )
    assert said(config) == [
        ("file.path", f"{plain}/out: {plain} is not a folder"),
        ("application.storage_path", f"{plain}/store: {plain} is not a folder"),
        ("service.log_file", f"{plain}/log: {plain} is not a folder"),
        ("alerts.command", "names a program that cannot be run here: no-such-program"),
    ]
    assert not any(need.fatal for need in unmet_requirements(config))  # a run waits for them


def test_what_is_not_enabled_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from tui_feeder.config import Config; "
        "from tui_feeder.configuration.requirements import unmet_requirements; "
        "unmet_requirements(Config()); print({'aiokafka', 'asyncpg', 'cramjam'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["set()"], done.stderr


def test_a_socket_whose_folder_is_not_there_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[service]\nsocket = "{tmp_path}/none/x.sock"\n')
    done = command("config", "check", cwd=tmp_path)
    assert done.code == 2
    assert "config.toml:2: service.socket" in done.err
    assert f"there is no folder {tmp_path}/none" in done.err
    (tmp_path / "file").touch()
    [(key, message)] = said(Config(service=Service(socket=f"{tmp_path}/file/x.sock")))
    assert (key, message.endswith(f"there is no folder {tmp_path}/file")) == ("service.socket", True)
    assert said(Config(service=Service(socket=f"{tmp_path}/x.sock"))) == []
