"""A key is added in one place: what is declared of it reaches file, environment, messages and documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Struct
from msgspec.structs import replace

from tui_feeder.config import Config, ConfigError, load, render
from tui_feeder.configuration import documents, keys, reading, rules
from tui_feeder.configuration.values import Key
from tui_feeder.safe_text import Secret


class Mail(Struct, frozen=True):
    """Alerts by mail."""

    port: Annotated[int, Key("port of the mail server", 1, 65_535)] = 25
    wait_seconds: Annotated[float, Key("how long to wait for it", 0.5, 60, reload=True)] = 10.0
    account: Annotated[str | None, Key("who sends", example='"feeder"')] = None
    token: Annotated[Secret | None, Key("proof of the account", example='"..."', needs=("account", ()))] = (
        None
    )


class Wider(Config, frozen=True):
    mail: Mail = Mail()


@pytest.fixture(autouse=True)
def wider(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (documents, keys, reading, rules):
        monkeypatch.setattr(module, "Config", Wider)


def test_a_new_key_is_read_from_every_source_with_its_origin(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[mail]\nport = 26\naccount = 'me'\n")
    loaded = load(path, environ={"FEEDER_MAIL__WAIT_SECONDS": "2", "FEEDER_MAIL__TOKEN": "hidden"})
    assert loaded.config.mail == Mail(port=26, wait_seconds=2.0, account="me", token=Secret("hidden"))
    assert loaded.origins["mail.port"] == f"file {path}:2"
    assert loaded.origins["mail.wait_seconds"] == "environment FEEDER_MAIL__WAIT_SECONDS"
    assert 'token = "********"' in render(loaded)


def test_a_new_key_is_checked_by_its_range_with_the_place_of_a_wrong_value(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[mail]\n\nport = 0\nprot = 1\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={"FEEDER_MAIL__WAIT_SECONDS": "0.1"})
    assert str(caught.value) == (
        "3 problems in the configuration:\n"
        f"{path}:3: mail.port = 0 is not allowed\n    allowed: a whole number, 1 to 65535\n"
        f'{path}:4: mail.prot is not a key of [mail]\n    did you mean "port"?\n'
        "    allowed: the keys of [mail]: port, wait_seconds, account, token\n"
        "environment FEEDER_MAIL__WAIT_SECONDS: mail.wait_seconds = 0.1 is not allowed\n"
        "    allowed: a number, 0.5 to 60"
    )


def test_a_new_key_without_the_one_it_needs_is_a_warning() -> None:
    (warning,) = load(None, environ={"FEEDER_MAIL__TOKEN": "hidden"}).warnings
    assert (warning.key, warning.message) == ("mail.token", "has no effect without mail.account")
    assert "hidden" not in str(warning)


def test_a_new_key_says_whether_a_reload_takes_it_over() -> None:
    running = Wider()
    changed = replace(running, mail=Mail(port=26, wait_seconds=1.0))
    assert keys.needing_restart(running, changed) == ["mail.port"]


def test_a_new_key_is_in_both_documents() -> None:
    assert documents.example().partition("\n# Alerts by mail.\n")[2] == (
        "[mail]\n"
        "port = 25                                  # port of the mail server\n"
        "wait_seconds = 10.0                        # how long to wait for it\n"
        '# account = "feeder"                       # who sends\n'
        '# token = "..."                            # proof of the account\n'
    )
    assert (
        "| `wait_seconds` | how long to wait for it | a number, 0.5 to 60 | `10.0` | seconds | yes "
        "| `FEEDER_MAIL__WAIT_SECONDS` |\n"
    ) in documents.reference()
