"""Every key of config.toml.example is read by some part of the program, or says that none does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from places import ROOT
from sources import PACKAGE, modules, nodes_of

from tui_feeder.configuration.keys import kind_at, leaf_names
from tui_feeder.configuration.values import is_secret, key_of

OLDER = "no effect, of the older program"

#: How a section is called where it is read, and in which files: many keys of different sections share a name.
READ_AS = {
    "application": (r"app|application", "*"),
    "technical_analysis": (r"analysis|technical_analysis", "*"),
    "kafka": (r"kafka|(self\._)?config", "engine/sinks/*"),
    "kafka.security": (r"security", "engine/sinks/*"),
    "cluster": (r"(self\._)?cluster", "*"),
    "database": (r"(self\._)?database", "engine/sinks/*"),
    "file": (r"file|(self\._)?config", "engine/sinks/*"),
    "parquet": (r"partitions|(self\.)?config\.parquet", "engine/*"),
    "volume_profile": (r"volume_profile(\.for_symbol\(symbol\))?|(self\.)?settings|chosen|s|self", "*"),
    "volume_profile.reprocessing": (r"reprocessing", "*"),
    "exchange": (r"exchange", "*"),
    "exchange.spot": (r"exchange\.spot", "*"),
    "exchange.coinm": (r"exchange\.coinm", "*"),
    "ui": (r"ui", "*"),
    "alerts": (r"alerts|settings|stated", "*"),
    "service": (r"service|settings", "*"),
    "gateway": (r"gateway|settings", "*"),
    "trades": (r"trades|self\._config", "*"),
    "proof": (r"proof|config", "*"),
}


@cache
def reads() -> dict[str, list[tuple[str, str]]]:
    """File and text of every attribute named as a key that the program reads; configuration left out."""
    found: dict[str, list[tuple[str, str]]] = {}
    leaves = {key.rpartition(".")[2] for key in KEYS}
    for path in modules():
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(("configuration/", "config.py", "demo.py")):
            continue
        for node in nodes_of(path):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in leaves:
                found.setdefault(node.attr, []).append((name, ast.unparse(node)))
    return found


def readers(key: str) -> list[str]:
    section, _, leaf = key.rpartition(".")
    base, files = READ_AS[section]
    form = re.compile(rf"(.*\.)?({base})\.{leaf}")
    return [
        f"{name}: {text}"
        for name, text in reads().get(leaf, [])
        if Path(name).match(files) and form.fullmatch(text)
    ]


def lines() -> Iterator[tuple[str, str]]:
    """Key and comment of every line of the example."""
    section = ""
    for line in (ROOT / "config.toml.example").read_text().splitlines():
        if head := re.match(r"\[([a-z_.]+)\]", line):
            section = head[1]
        elif key := re.match(r"(?:# )?([a-z_]+) = .*?  ?# (.*)", line):
            yield f"{section}.{key[1]}", key[2]


EXAMPLE = dict(lines())
KEYS = [".".join(key) for key in leaf_names()]


def test_the_example_has_every_key() -> None:
    assert set(KEYS) <= set(EXAMPLE)


def test_somebody_reads_each_or_it_says_that_nobody_does() -> None:
    for key in KEYS:
        of_a_secret = key.removesuffix("_file")
        if of_a_secret != key and of_a_secret in KEYS and is_secret(kind_at(tuple(of_a_secret.split(".")))):
            continue  # read where the configuration is, into the key that holds the secret
        ignored = bool(key_of(kind_at(tuple(key.split(".")))).ignored)
        assert bool(readers(key)) != ignored, (key, readers(key))
        assert EXAMPLE[key].startswith(OLDER) == ignored, (key, EXAMPLE[key])
