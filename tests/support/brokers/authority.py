"""Certificates for the servers of the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Authority:
    """An authority of its own, and a certificate by it for 127.0.0.1 alone, made with openssl."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.cafile = folder / "ca.pem"
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        self.keystore = folder / "server.p12"
        self.password = "keystore"
        names = folder / "names"
        names.write_text("subjectAltName=IP:127.0.0.1")
        request, authority_key = folder / "server.csr", folder / "ca.key"
        for arguments in (
            f"req -x509 -newkey rsa:2048 -nodes -keyout {authority_key} -out {self.cafile} -subj /CN=test",
            f"req -newkey rsa:2048 -nodes -keyout {self.key} -out {request} -subj /CN=server",
            f"x509 -req -in {request} -CA {self.cafile} -CAkey {authority_key} -CAcreateserial -days 2 "
            f"-extfile {names} -out {self.certificate}",
            f"pkcs12 -export -in {self.certificate} -inkey {self.key} -out {self.keystore} "
            f"-passout pass:{self.password}",
        ):
            subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True)
