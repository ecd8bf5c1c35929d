"""Digests of a symbol's day from the folders of signed days and of partitions, for the screens."""

from __future__ import annotations

from tui_feeder.config import Config
from tui_feeder.engine.partitions.writer import read_manifest
from tui_feeder.engine.proof.folder import ProofFolder, ProofFolderError, leaf_name
from tui_feeder.time_format import format_day


def digests_of(config: Config, symbol: str, day: int) -> dict[str, str]:
    """Reads the digests of a symbol's day. Reads files: some 10 ms where 600 symbols are signed.

    Args:
        config: with the folders.
        symbol: the symbol.
        day: midnight, ms.

    Returns:
        SHA-256, hex, by what it is of; without those that are not made or cannot be read.
    """
    found: dict[str, str] = {}
    if config.proof.enabled:
        try:
            leaf = ProofFolder(config.proof.folder).last_leaf(format_day(day), leaf_name(symbol))
        except ProofFolderError:
            leaf = None
        if leaf is not None:
            found["canonical bytes"] = leaf.fields["canonical"]
            if (archive := leaf.fields["sources"]["archive"]) is not None:
                found["archive zip"] = archive["sha256"]
            found["signed leaf"] = leaf.hash
    if config.parquet.enabled:
        partition = read_manifest(config.parquet.folder, day).symbols.get(symbol)
        if partition is not None:
            found["partition"] = partition.sha256
    return found
