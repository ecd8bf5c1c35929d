"""Keys and signatures, as far as no other program is needed: see tests/end_to_end/proof for ssh-keygen."""

from __future__ import annotations

import base64
import stat
from hashlib import sha512
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tui_feeder.engine.proof.signing import KeyFileError, Signer, make_key
from tui_feeder.errors import ExitCode, FeederError


def strings(blob: bytes) -> list[bytes]:
    """The strings of an SSH message, each behind its length."""
    found = []
    while blob:
        length = int.from_bytes(blob[:4], "big")
        found.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return found


def test_a_signature_has_the_parts_of_the_protocol(tmp_path: Path) -> None:
    signer = make_key(tmp_path / "key")
    armored = signer.sign(b"a head").decode().splitlines()
    assert (armored[0], armored[-1]) == ("-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----")
    blob = base64.b64decode("".join(armored[1:-1]))
    assert blob[:10] == b"SSHSIG\0\0\0\1"
    public, namespace, reserved, algorithm, signature = strings(blob[10:])
    assert (namespace, reserved, algorithm) == (b"feeder-tui-proof", b"", b"sha512")
    assert base64.b64encode(public).decode() == signer.public_key.split()[1]
    (kind, raw), (_, signed) = strings(public), strings(signature)
    assert kind == b"ssh-ed25519"

    def string(content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + content

    digest = sha512(b"a head").digest()
    message = b"SSHSIG" + b"".join(map(string, (b"feeder-tui-proof", b"", b"sha512", digest)))
    key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    key.verify(signed, message)
    with pytest.raises(InvalidSignature):
        key.verify(signed, message + b"x")


def test_a_key_is_for_its_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "key"
    signer = make_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (tmp_path / "key.pub").read_text() == f"{signer.public_key} feeder-tui\n"
    assert Signer(file).fingerprint == signer.fingerprint
    content = file.read_bytes()
    with pytest.raises(FeederError, match="is there already, and a key is never replaced"):
        make_key(file)
    assert file.read_bytes() == content


def test_keys_that_cannot_be_used_are_refused_with_the_remedy(tmp_path: Path) -> None:
    absent, text, locked, other = (tmp_path / name for name in ("absent", "text", "locked", "other"))
    text.write_text("no key")
    form = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(*form, serialization.NoEncryption())
    )
    for file, why in (
        (absent, "cannot be read"),
        (text, "is no OpenSSH"),
        (other, "not of the kind Ed25519"),
    ):
        with pytest.raises(KeyFileError, match=why) as found:
            Signer(file)
        assert str(file) in str(found.value)
        assert "feeder-tui proof keygen" in str(found.value)
        assert found.value.exit_code == ExitCode.BAD_INPUT
    with pytest.raises(FeederError, match="cannot be written"):
        make_key(tmp_path / "no folder" / "key")
    assert not locked.exists()
