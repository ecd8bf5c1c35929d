from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import fields
from places import EXAMPLE

from tui_feeder.config import Config, InitError, example, init_file, load, render


def dotted_keys(section: object, above: str = "") -> set[str]:
    found = set()
    assert isinstance(section, Struct)
    for field in fields(section):
        value = getattr(section, field.name)
        found |= (
            dotted_keys(value, f"{above}{field.name}.") if isinstance(value, Struct) else {above + field.name}
        )
    return found


def test_the_example_loads_without_a_word_and_is_the_defaults() -> None:
    loaded = load(EXAMPLE, environ={})
    assert loaded.config == Config()
    assert loaded.warnings == ()
    assert example() == EXAMPLE.read_text()


def test_the_example_has_every_key_and_no_other_each_with_one_line_of_comment() -> None:
    found, section = set(), ""
    for line in EXAMPLE.read_text().splitlines():
        if header := re.match(r"\[(.+?)\]", line):
            section = header[1]
        elif (key := re.match(r"(?:# )?([a-z_]+) = .+  # \S", line)) or (
            key := re.match(r"(?:# )?([a-z_]+) = .+ # \S", line)
        ):
            found.add(f"{section}.{key[1]}")
        else:
            assert not line or line.startswith("#"), f"no comment: {line}"
    assert found == dotted_keys(Config()) - {"volume_profile.asset_overrides", "alerts.rules"}
    assert set(tomllib.loads(EXAMPLE.read_text())) == {field.name for field in fields(Config)}


def test_what_stands_behind_a_hash_in_the_example_loads_too(tmp_path: Path) -> None:
    text = re.sub(r"^# ([\w-]+ = )", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    # Either the secret or its file: leave the files out, they are not there.
    text = re.sub(r"^(\w*password|webhook_url)_file = .*$", "", text, flags=re.MULTILINE)
    path = tmp_path / "config.toml"
    path.write_text(text)
    loaded = load(path, environ={})
    assert loaded.config.application.start_date is not None
    assert loaded.config.kafka.security.ssl_keyfile == Path("/etc/ssl/feeder.key")
    assert set(loaded.config.volume_profile.asset_overrides) == {"BTCUSDT", "ETHUSDT"}
    assert len(loaded.config.alerts.rules) == 15


def test_a_rendered_configuration_loads_as_the_same_again(tmp_path: Path) -> None:
    first = tmp_path / "first.toml"
    first.write_text(
        """[application]
symbols = ["币安人生USDT", "BTCUSDT"]
start_date = "2025-01-01T00:00:00+01:00"
storage_path = 'a "quoted" \\ path'
[volume_profile]
min_price_increment = 0.00000001
[volume_profile.asset_overrides."币安人生USDT"]
fixed_price_increment = 1e-8
enabled = false
[ui]
theme = "dark"
"""
    )
    loaded = load(first, environ={"FEEDER_UI__SLOW": "true"}, flags={"service.log_format": "json"})
    for shows in (True, False):
        second = tmp_path / "second.toml"
        second.write_text(render(loaded, show_origin=shows))
        assert load(second, environ={}).config == loaded.config


def test_a_rendered_configuration_tells_where_each_value_is_from(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[ui]\nrefresh_hz = 2\n")
    environ = {"FEEDER_UI__SLOW": "true", "FEEDER_DATABASE__PASSWORD": "hidden"}
    loaded = load(path, environ=environ, flags={"ui.colors": "16"})
    lines = render(loaded).splitlines()
    assert f"refresh_hz = 2.0  # file {path}:2" in lines
    assert "slow = true  # environment FEEDER_UI__SLOW" in lines
    assert 'colors = "16"  # flag --colors' in lines
    assert 'theme = "feeder-dark"  # default' in lines
    assert 'password = "********"  # environment FEEDER_DATABASE__PASSWORD' in lines
    assert "# start_date is not set  # default" in lines
    assert "slow = true" in render(loaded, show_origin=False).splitlines()


def test_a_path_with_line_breaks_can_not_break_the_rendered_file(tmp_path: Path) -> None:
    path = tmp_path / "odd\nname = 1\x1b.toml"
    path.write_text("[ui]\nslow = true\n")
    text = render(load(path, environ={}))
    assert tomllib.loads(text)["ui"]["slow"] is True
    assert "name" not in tomllib.loads(text)["ui"]
    assert "\x1b" not in text


def test_a_new_file_is_the_example_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "config.toml"
    init_file(path)
    assert path.read_text() == EXAMPLE.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["config.toml"]


def test_a_file_that_is_there_is_left_alone_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("mine")
    with pytest.raises(InitError, match="there already"):
        init_file(path)
    assert path.read_text() == "mine"
    init_file(path, force=True)
    assert load(path, environ={}).config == Config()


def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InitError, match="can't be written"):
        init_file(tmp_path / "file" / "config.toml")
    (tmp_path / "directory").mkdir()
    with pytest.raises(InitError, match="can't be written"):
        init_file(tmp_path / "directory", force=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["directory", "file"]
