"""Signatures of heads: Ed25519 in the form of ``ssh-keygen -Y sign``, which any OpenSSH can verify."""

from __future__ import annotations

import base64
import os
from hashlib import sha256, sha512
from pathlib import Path
from typing import TYPE_CHECKING

from tui_feeder.errors import FeederError, HostError, InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: Who signs, and for what: a signature of another purpose does not count.
IDENTITY, NAMESPACE = "feeder-tui", "feeder-tui-proof"
_KIND = b"ssh-ed25519"
_MAGIC = b"SSHSIG"
_HASH = b"sha512"
_VERSION = 1
_WIDTH = 70  # characters of a line of base64
_MOST = 1 << 16  # bytes of a key file that are read
_MAKE = "make one with: feeder-tui proof keygen"


class KeyFileError(InputError):
    """The key cannot be used; the message has the reason."""


def _string(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def _cryptography() -> None:
    try:
        import cryptography  # noqa: F401 - whether it is there
    except ImportError as error:
        raise KeyFileError(
            f"signing needs the package cryptography ({error}): pip install 'feeder-tui[proof]'"
        ) from error


class Signer:
    """Signs with the private key of a file.

    Args:
        file: an OpenSSH private key, Ed25519, without a passphrase.

    Raises:
        KeyFileError: it cannot be read, is of another kind, or has a passphrase.
    """

    def __init__(self, file: Path) -> None:
        _cryptography()
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            with file.open("rb") as opened:
                content = opened.read(_MOST)
        except OSError as error:
            raise KeyFileError(f"the key {file} cannot be read: {error.strerror}; {_MAKE} {file}") from error
        try:
            key = serialization.load_ssh_private_key(content, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            text = f"{file} is no OpenSSH private key without a passphrase ({error}); {_MAKE} FILE"
            raise KeyFileError(text) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"the key {file} is not of the kind Ed25519; {_MAKE} FILE")
        self._key: Ed25519PrivateKey = key
        public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self._public = _string(_KIND) + _string(public)

    @property
    def public_key(self) -> str:
        """The public key as in a file ``.pub``."""
        return f"{_KIND.decode()} {base64.b64encode(self._public).decode()}"

    @property
    def allowed_signer(self) -> str:
        """The line of ``allowed_signers`` that lets this key sign heads, and nothing else."""
        return f'{IDENTITY} namespaces="{NAMESPACE}" {self.public_key}\n'

    @property
    def fingerprint(self) -> str:
        """What ``ssh-keygen -l`` shows of the key."""
        return "SHA256:" + base64.b64encode(sha256(self._public).digest()).decode().rstrip("=")

    def sign(self, message: bytes) -> bytes:
        """Signs a message (OpenSSH, PROTOCOL.sshsig).

        Args:
            message: its bytes.

        Returns:
            The armored signature.
        """
        about = _string(NAMESPACE.encode()) + _string(b"") + _string(_HASH)
        signed = self._key.sign(_MAGIC + about + _string(sha512(message).digest()))
        blob = _MAGIC + _VERSION.to_bytes(4, "big") + _string(self._public) + about
        text = base64.b64encode(blob + _string(_string(_KIND) + _string(signed))).decode()
        lines = [text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH)]
        return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----\n"]).encode()


def make_key(file: Path) -> Signer:
    """Makes a private key, and its public key beside it in ``FILE.pub``.

    Args:
        file: of the private key; nothing may be there. Only its owner may read it.

    Returns:
        What signs with it.

    Raises:
        FeederError: something is there already, or it cannot be written.
    """
    _cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            target.write(content)
        signer = Signer(file)
        file.with_name(f"{file.name}.pub").write_text(f"{signer.public_key} {IDENTITY}\n")
    except FileExistsError as error:
        raise FeederError(f"{file} is there already, and a key is never replaced: name another") from error
    except OSError as error:
        raise HostError(f"the key {file} cannot be written: {error.strerror}") from error
    return signer
