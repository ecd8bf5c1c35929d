"""``config.toml.example`` and ``docs/configuration.md``, made from the declarations of the keys.

``python -m tui_feeder.configuration.documents`` writes both into the checkout.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from tui_feeder.configuration.keys import Branch, KeyName, dotted, kind_at, names_in
from tui_feeder.configuration.reading import variable_of
from tui_feeder.configuration.rules import REPLACED
from tui_feeder.configuration.sections import Config
from tui_feeder.configuration.values import Key, Kind, allowed, key_of, type_of
from tui_feeder.safe_text import to_toml

_COMMENT_COLUMN = 43
#: Of a key whose name ends so.
_UNITS = {"mb": "MB", "hz": "Hz", "percent": "%", "percentage": "%"} | {
    unit: unit for unit in ("ms", "seconds", "minutes", "days", "months")
}
_EXAMPLE_HEAD = """\
# feeder-tui: every key, with its default. Keep what you change, leave out the rest.
#
# Looked for as ./config.toml, then as feeder-tui/config.toml in ~/.config (or $XDG_CONFIG_HOME);
# FEEDER_CONFIG or --config names another. Every key can be set from the environment, with two underscores
# between levels (FEEDER_KAFKA__ACKS=1, FEEDER_APPLICATION__SYMBOLS=BTCUSDT,ETHUSDT); a flag has precedence
# over the environment, which has precedence over this file. "feeder-tui config check" reads it, "feeder-tui
# config show" prints where each value is from. docs/configuration.md lists ranges and units.
# A key behind a # has no default: it is not set.
"""
_REFERENCE_HEAD = """\
# Configuration

<!-- Made by `python -m tui_feeder.configuration.documents`; to change it, see contributing.md. -->

A TOML file, `config.toml`: the one that `--config` or `FEEDER_CONFIG` names, else `./config.toml`, else
`feeder-tui/config.toml` in `~/.config` (or `$XDG_CONFIG_HOME`). `feeder-tui config init` writes one with
every key, `config check` reports every problem at once, `config show` prints every value and its origin.

Every key can be set by an environment variable too; a list in it is written as `a,b` or as a TOML array. A
flag has precedence over the environment, the environment over the file, the file over the default. A secret
can stand in a file of its own, which the key with `_file` behind its name names.

*Reload* marks what a headless run applies from a changed file on SIGHUP (`systemctl reload`); other
changes take effect at the next start, and the log names them. The variable of a key in a table by name has
the name in the place of `NAME`, its letters as they are in the file.
"""
_TABLE_HEAD = """
| key | meaning | allowed | default | unit | reload | environment variable, flag |
|---|---|---|---|---|---|---|
"""
_REPLACED_HEAD = """
## Keys of the older program

Each is accepted with a warning that names the replacement.

| key | instead |
|---|---|
"""


def example() -> str:
    """Make the text of ``config.toml.example``: every key with its default and what it does."""
    return _EXAMPLE_HEAD + "".join(_example_section((), Config()))


def reference() -> str:
    """Make the text of ``docs/configuration.md``: everything that is declared of every key."""
    replaced = "".join(f"| `{key}` | {_cell(hint)} |\n" for key, hint in REPLACED.items())
    return _REFERENCE_HEAD + "".join(_reference_section((), Config())) + _REPLACED_HEAD + replaced


def _parts(section: KeyName) -> tuple[list[tuple[str, Kind]], list[tuple[str, Branch]]]:
    """The keys of a section, and the sections below it."""
    kinds = [(name, kind_at((*section, name))) for name in names_in(section)]
    branches = [(name, kind) for name, kind in kinds if isinstance(kind, Branch)]
    return [(name, kind) for name, kind in kinds if not isinstance(kind, Branch)], branches


def _example_section(section: KeyName, defaults: object) -> Iterator[str]:
    keys, branches = _parts(section)
    if section:
        yield f"\n# {_about(defaults)}\n[{dotted(section)}]\n"
    for name, kind in keys:
        default = getattr(defaults, name)
        text = f"# {name} = {key_of(kind).example}" if default is None else f"{name} = {to_toml(default)}"
        yield _commented(text, _meaning(kind))
    for name, branch in branches:
        below = (*section, name)
        if branch.named:
            table = key_of(branch.kind)
            yield "\n" + _commented(f"[{dotted(below)}]", table.sentence)
            yield "".join(f"# {line}\n" for line in table.example.splitlines())
        else:
            yield from _example_section(below, getattr(defaults, name))


def _commented(text: str, comment: str) -> str:
    return f"{text:<{_COMMENT_COLUMN - 2}}  # {comment}\n"


def _meaning(kind: Kind) -> str:
    """The sentence of a key with its choices, and its unit where the name has none."""
    key, bare = key_of(kind), type_of(kind)
    if key.ignored:
        return f"no effect, of the older program: {key.ignored}"
    choices = f": {', '.join(map(to_toml, get_args(bare)))}" if get_origin(bare) is Literal else ""
    return key.sentence + choices + (f" ({key.unit})" if key.unit and key.unit not in key.sentence else "")


def _reference_section(section: KeyName, defaults: object, reload: bool = False) -> Iterator[str]:
    keys, branches = _parts(section)
    if section:
        yield f"\n## `[{dotted(section)}]`\n\n{_cell(_about(defaults))}\n{_TABLE_HEAD if keys else ''}"
    for name, kind in keys:
        yield _row((*section, name), kind, getattr(defaults, name), reload)
    for name, branch in branches:
        below = (*section, name)
        if branch.named:
            yield from _reference_section((*below, "NAME"), branch.section(), key_of(branch.kind).reload)
        else:
            yield from _reference_section(below, getattr(defaults, name))


def _about(section: object) -> str:
    return " ".join((type(section).__doc__ or "").split()).replace("``", "`")


def _row(key: KeyName, kind: Kind, default: object, reload: bool) -> str:
    stated = key_of(kind)
    cells = (
        f"`{key[-1]}`",
        _cell(f"no effect: {stated.ignored}" if stated.ignored else stated.sentence + _condition(stated)),
        _cell(allowed(kind)),
        "not set" if default is None else f"`{to_toml(default)}`",
        stated.unit or _UNITS.get(key[-1].rpartition("_")[2], ""),
        "yes" if stated.reload or reload else "no",
        f"`{variable_of(key)}`" + (f", `{stated.flag}`" if stated.flag else ""),
    )
    return f"| {' | '.join(cells)} |\n"


def _condition(key: Key) -> str:
    """What another key has to be for this one to have an effect."""
    if key.needs is None:
        return ""
    name, values = key.needs
    return f"; only with `{name}`" + (f" = {' or '.join(map(to_toml, values))}" if values else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def main() -> None:
    """Write both documents into the checkout that this package lies in."""
    checkout = Path(__file__).resolve().parents[2]
    (checkout / "config.toml.example").write_text(example(), encoding="utf-8")
    (checkout / "docs" / "configuration.md").write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
