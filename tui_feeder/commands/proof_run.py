"""``feeder-tui proof keygen``, ``show`` and ``verify``: what they do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson
import typer

from tui_feeder import verify_proof
from tui_feeder.commands.formatting import format_count, format_table, plural
from tui_feeder.commands.options import parse_day
from tui_feeder.config import Config
from tui_feeder.engine.proof.canonical import differing_places
from tui_feeder.engine.proof.folder import HeadPlace, ProofFolder, ProofFolderError, SignedLeaf, leaf_name
from tui_feeder.engine.proof.leaf import evidence_of
from tui_feeder.engine.proof.signing import make_key
from tui_feeder.engine.storage.lock import DATA, StoreError
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExitCode, UsageError
from tui_feeder.safe_text import printable

_SHORT = 16  # digits of a hash in a table


@dataclass(frozen=True, slots=True)
class Chosen:
    """What of a folder is checked, and with what."""

    day: str | None
    symbol: str | None
    against: str | None
    key: Path | None
    known: str | None


def keygen(file: Path) -> int:
    """Makes a key and prints what to do with it.

    Args:
        file: of the private key.

    Returns:
        The exit code.

    Raises:
        FeederError: it cannot be made.
    """
    signer = make_key(file)
    typer.echo(f"private key {file}, for proof.key_file; keep it to yourself")
    typer.echo(f"public key {file}.pub, to be published\n{signer.public_key}\n{signer.fingerprint}")
    return ExitCode.OK


def show(folder: Path, day: str | None, symbol: str | None, json: bool) -> int:
    """Prints the heads of a folder, the leaves of a day, or one leaf with its path.

    Args:
        folder: of signed days.
        day: such as ``2026-02-21``; None for all heads.
        symbol: of the day; None for all.
        json: one JSON object instead of a table.

    Returns:
        The exit code.

    Raises:
        ProofFolderError: it cannot be read.
        UsageError: there is no such day or symbol.
    """
    found = ProofFolder(folder)
    heads = found.heads()
    if not heads:
        raise UsageError(f"there are no signed days in {folder}: feeder-tui proof seal makes some")
    if day is None:
        if symbol is not None:
            raise UsageError("--symbol needs --day")
        typer.echo(_heads(heads, json))
        return ExitCode.OK
    parse_day(day)
    places = [head for head in heads if head.day == day]
    if not places:
        raise UsageError(f"{day} is not signed in {folder}: it has {heads[0].day} to {heads[-1].day}")
    if symbol is None:
        typer.echo(_leaves(places, json))
    else:
        typer.echo(_single(found, day, symbol))
    return ExitCode.OK


def _heads(heads: list[HeadPlace], json: bool) -> str:
    rows, objects = [], []
    for place in heads:
        head = place.described()
        objects.append(head)
        corrections = str(len(head["replaces"]) or "")
        rows.append(
            [place.day, str(place.number), str(head["leaves"]), corrections, str(head["time"]), head["hash"]]
        )
    if json:
        return orjson.dumps({"heads": objects}, option=orjson.OPT_INDENT_2).decode()
    titles = ["day", "head", "leaves", "corrections", "signed at", "hash of the head"]
    return format_table(titles, rows)


def _leaves(places: list[HeadPlace], json: bool) -> str:
    leaves = [leaf for place in places for leaf in place.leaves()]
    if json:
        objects = [{**leaf.fields, "hash": leaf.hash} for leaf in leaves]
        return orjson.dumps({"leaves": objects}, option=orjson.OPT_INDENT_2).decode()
    return format_table(
        ["symbol", "revision", "minutes", "archive", "minutes not of it", "canonical", "hash of the leaf"],
        [_leaf_row(leaf) for leaf in leaves],
    )


def _leaf_row(leaf: SignedLeaf) -> list[str]:
    counts, sources = leaf.fields["counts"], leaf.fields["sources"]
    archive, minutes = sources["archive"], sources["minutes"]
    states = " ".join(f"{state} {format_count(count)}" for state, count in counts.items())
    name = archive["path"].rpartition("/")[2] if archive else "none"
    others = sum(minutes.values()) - minutes.get("archive", 0)
    return [
        printable(leaf.name),
        str(leaf.revision),
        states,
        printable(name),
        format_count(others),
        leaf.fields["canonical"][:_SHORT],
        leaf.hash[:_SHORT],
    ]


def _single(folder: ProofFolder, day: str, symbol: str) -> str:
    """The last leaf of a symbol's day as a file of its own."""
    found = folder.leaf_file(day, leaf_name(symbol))
    if found is None:
        raise UsageError(f"{symbol} is not signed on {day}: feeder-tui proof show --day {day}")
    return orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()


def verify(config: Config, chosen: Chosen) -> int:
    """Checks signed days against the exchange's files and the store, and prints what holds.

    Args:
        config: with the folder and the place of the store.
        chosen: which days, and with what.

    Returns:
        The exit code.

    Raises:
        ProofFolderError: the folder cannot be read.
        UsageError: nothing is signed there.
        StoreError: there is a store, and it cannot be read.
    """
    folder = ProofFolder(config.proof.folder)
    if not folder.heads():
        raise UsageError(f"there are no signed days in {folder.path}: feeder-tui proof seal makes some")
    if refused := [fault for head in folder.heads() for fault in head.refused()]:
        typer.echo("\n".join(printable(fault) for fault in refused))
        typer.echo(f"DOES NOT HOLD, {plural(len(refused), 'fault')}: nothing else was checked")
        return ExitCode.DIFFERENCES
    if chosen.key is None:
        folder.public_key()  # which names what is wrong with the file
    options = {
        "--day": chosen.day,
        "--symbol": leaf_name(chosen.symbol) if chosen.symbol is not None else None,
        "--archive": config.exchange.archive_url if chosen.against is None else chosen.against,
        "--key": chosen.key,
        "--known": chosen.known,
    }
    given = [str(part) for name, value in options.items() if value is not None for part in (name, value)]
    try:
        wrong = verify_proof.main([str(folder.path), *given])
    except SystemExit as end:  # which has the text of what cannot be used
        raise UsageError(str(end)) from None
    differs = _against_store(config, folder, chosen) or wrong == 1
    return ExitCode.DIFFERENCES if differs else ExitCode.INCOMPLETE if wrong else ExitCode.OK


def _against_store(config: Config, folder: ProofFolder, chosen: Chosen) -> bool:
    """Compares the store with the leaves; whether any differs."""
    path = config.application.storage_path
    try:
        store = Store(path, read_only=True)
    except StoreError:
        if (path / DATA).exists():
            raise
        return False  # a reader has none: the exchange's files were compared
    try:
        leaves = {
            (head.day, leaf.name): leaf
            for head in folder.heads()
            if chosen.day in (None, head.day)
            for leaf in head.leaves()
            if chosen.symbol is None or leaf.name == leaf_name(chosen.symbol)
        }
        equal = absent = different = damaged = 0
        for (day, name), leaf in sorted(leaves.items()):
            market, _, bare = name.partition("/")
            symbol = bare if market == "usdm" else f"{market}:{bare}"
            found = evidence_of(store, None, symbol, parse_day(day))
            if found.damaged:
                damaged += 1
                typer.echo(printable(f"{name} {day}: the stored day is damaged: its checksum differs"))
            elif found.empty:
                absent += 1
            elif found.digest == leaf.fields["canonical"]:
                equal += 1
            else:
                different += 1
                places = differing_places(found.lines, leaf.fields["locator"]) or "field canonical"
                typer.echo(printable(f"{name} {day}: store and leaf differ: {places}"))
    except ProofFolderError as error:
        typer.echo(str(error))
        return True
    finally:
        store.close()
    text = f"store: {plural(equal, 'symbol-day')} as signed"
    text += f", {plural(different, 'symbol-day')} not" if different else ""
    text += f", {plural(damaged, 'symbol-day')} damaged" if damaged else ""
    typer.echo(text + (f", {plural(absent, 'symbol-day')} not stored" if absent else ""))
    return different + damaged > 0
