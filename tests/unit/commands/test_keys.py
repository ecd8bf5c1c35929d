"""``feeder-tui keys`` lists every key with its name, as a file that can be kept."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tui_feeder.cli import app
from tui_feeder.screens.key_names import named_bindings
from tui_feeder.screens.keymap import read_keymap, split_keys

KNOWN = {name: binding.key for name, binding in named_bindings().items()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "feeder-tui").mkdir()
    return tmp_path / "feeder-tui"


def test_every_name_is_listed_with_its_keys_and_what_they_do(folder: Path) -> None:
    result = CliRunner().invoke(app, ["keys"])
    assert result.exit_code == 0
    listed = dict(re.findall(r'^# "([\w.]+)" += ("[^ ]+") +# .+$', result.stdout, re.M))
    assert list(listed) == list(KNOWN)
    for name, keys in listed.items():
        assert split_keys(tomllib.loads(f"keys = {keys}")["keys"]) == split_keys(KNOWN[name]), name
    assert tomllib.loads(result.stdout) == {"keys": {}}
    kept = folder / "keys.toml"
    kept.write_text(re.sub(r'^# "', '"', result.stdout, flags=re.M))
    found, faults = read_keymap(kept, KNOWN)
    assert faults == []
    assert {name: split_keys(keys) for name, keys in found.items()} == {
        name: split_keys(keys) for name, keys in KNOWN.items()
    }


def test_keys_of_the_user_are_shown_as_they_are_and_wrong_entries_told_with_their_line(folder: Path) -> None:
    (folder / "keys.toml").write_text('[keys]\n"app.quit" = "Q"\n"app.quite" = "X"\n')
    result = CliRunner().invoke(app, ["keys"])
    assert result.exit_code == 2
    assert re.search(r'^"app.quit" += "Q" ', result.stdout, re.M)
    assert result.stderr == 'feeder-tui: keys.toml:3: unknown name "app.quite"; did you mean app.quit?\n'


def test_no_two_keys_that_are_in_force_together_are_the_same(folder: Path) -> None:
    (folder / "keys.toml").write_text(
        "[keys]\n" + "".join(f'"{name}" = "{keys}"\n' for name, keys in KNOWN.items())
    )
    assert read_keymap(folder / "keys.toml", KNOWN)[1] == []
