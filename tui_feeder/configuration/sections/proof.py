"""``[proof]``: days signed so that anybody can recompute them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Struct

from tui_feeder.configuration.values import Key


class Proof(Struct, frozen=True):
    """Days whose minutes are compared with the exchange's files and signed; see docs/proof.md."""

    enabled: Annotated[bool, Key("sign each day once its archive files have been compared")] = False
    folder: Annotated[Path, Key("directory of the signed days, to be published as it is")] = Path("proof")
    key_file: Annotated[
        Path | None,
        Key(
            "OpenSSH private key, Ed25519 without a passphrase: feeder-tui proof keygen makes one",
            example='"/etc/feeder-tui/proof_key"',
        ),
    ] = None
