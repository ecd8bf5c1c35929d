"""``feeder-tui proof``: its options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ConfigOption,
    FromOption,
    JsonOption,
    StorageOption,
    StoredSymbolsOption,
    ToOption,
    config_flags,
    load_config,
    parse_path,
    parse_range,
    split_symbols,
)

proof_app = typer.Typer(
    rich_markup_mode=None, help="Signed days that anybody can recompute.", no_args_is_help=True
)
_FolderArgument = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Argument(
        help="Directory of signed days (default: proof.folder).", metavar="FOLDER", parser=parse_path
    ),
]
_DayOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--day", help="One UTC day: 2026-02-21.", metavar="DAY"),
]
_SymbolOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--symbol", help="One symbol.", metavar="SYMBOL"),
]


def _flags(
    storage: Path | None = None, folder: Path | None = None, key: Path | None = None
) -> dict[str, Any]:
    return config_flags(storage) | {
        "proof.folder": str(folder) if folder is not None else None,
        "proof.key_file": str(key) if key is not None else None,
    }


@proof_app.callback()
def proof() -> None:
    """Signed days that anybody can recompute from the exchange's files; see docs/proof.md."""


@proof_app.command()
def keygen(
    file: Annotated[
        Path,
        typer.Argument(help="Of the private key; nothing may be there.", metavar="FILE", parser=parse_path),
    ],
) -> None:
    """Make a key to sign days with, and its public key in FILE.pub.

    Publish the public key where others trust it to be yours, and keep the private one to yourself.

    For example:

      feeder-tui proof keygen proof_key

    Exit codes: 0 made, 1 FILE is there already or cannot be written, 2 the package cryptography is missing.
    """
    with reported_failures():
        from tui_feeder.commands import proof_run

        raise typer.Exit(proof_run.keygen(file))


@proof_app.command()
def seal(
    day: _DayOption = None,
    start: FromOption = None,
    end: ToOption = None,
    symbols: StoredSymbolsOption = None,
    reason: Annotated[
        str, typer.Option("--reason", help="Of corrections (default: what changed).", metavar="TEXT")
    ] = "",
    key: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--key", help="Private key (default: proof.key_file).", metavar="FILE", parser=parse_path
        ),
    ] = None,
    folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--folder", help="Where (default: proof.folder).", metavar="DIR", parser=parse_path),
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Sign the stored days that are not signed yet, and correct those that changed; no engine may run.

    Minutes that are not of an archive are compared with it first. A day without an archive is signed after
    seven days, and states that it has none.

    For example:

      feeder-tui proof seal --key proof_key --folder proof

      feeder-tui proof seal --day 2026-02-21 --symbols BTCUSDT

    Exit codes: 0 signed, 1 it could not be done, 2 the key cannot be used, 3 some days wait for archives or
    minutes.
    """
    with reported_failures():
        low, high = parse_range(start, end)
        loaded = load_config(config, _flags(storage, folder, key))
        from tui_feeder.commands import proof_seal_run

        request = proof_seal_run.SealRequest(split_symbols(symbols), day, low, high, reason, json)
        raise typer.Exit(proof_seal_run.run(loaded.config, request))


@proof_app.command()
def show(
    folder: _FolderArgument = None,
    day: _DayOption = None,
    symbol: _SymbolOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the heads of a folder, or the leaves of a day.

    With a day and a symbol it prints the leaf with its inclusion path, head and signature: a file that
    verify_proof.py checks by itself.

    For example:

      feeder-tui proof show proof

      feeder-tui proof show --day 2026-02-21 --symbol BTCUSDT > one.json

    Exit codes: 0 shown, 1 the folder cannot be read, 2 there is no such day or symbol.
    """
    with reported_failures():
        loaded = load_config(config, _flags(folder=folder))
        from tui_feeder.commands import proof_run

        raise typer.Exit(proof_run.show(loaded.config.proof.folder, day, symbol, json))


@proof_app.command()
def verify(
    folder: _FolderArgument = None,
    day: _DayOption = None,
    symbol: _SymbolOption = None,
    against: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--against",
            help="Archive to compare with: an address or a directory (default: the exchange's).",
            metavar="URL",
        ),
    ] = None,
    key: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--key", help="Public key (default: the folder's).", metavar="FILE", parser=parse_path),
    ] = None,
    known: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--known", help="Hash of a head seen before, which must still be there.", metavar="HASH"
        ),
    ] = None,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Check signed days against the exchange's files and, where there is one, the store.

    The first part is what verify_proof.py does, which needs nothing but Python, and the form of every field.

    For example:

      feeder-tui proof verify proof

      feeder-tui proof verify proof --day 2026-02-21 --key key.pub

    Exit codes: 0 all of it holds, 1 the folder cannot be read, 3 the archive did not give what is to be
    compared, 4 something does not hold.
    """  # fmt: skip
    with reported_failures():
        loaded = load_config(config, _flags(storage, folder))
        from tui_feeder.commands import proof_run

        chosen = proof_run.Chosen(day, symbol, against, key, known)
        raise typer.Exit(proof_run.verify(loaded.config, chosen))
