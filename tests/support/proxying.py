"""Proxies on loopback, and an exchange behind TLS that only they find: HTTP (CONNECT and plain) and SOCKS."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import shutil
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

HOST = "exchange.test"  # a name that no name server knows


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.CancelledError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass
class SmallProxy:
    """Leads whatever is asked for ``exchange.test`` to this machine, and remembers what that was."""

    kind: str  # http, socks
    user: str = ""  # name:password that it asks for
    asked: list[str] = field(default_factory=list)
    refuses: bool = False
    port: int = 0

    def url(self, scheme: str, user: str = "") -> str:
        return f"{scheme}://{user + '@' if user else ''}127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.kind == "socks":
                await self._socks(reader, writer)
            else:
                await self._http(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n")[0].split(" ")
        self.asked.append(f"{method} {target}")
        wanted = f"Proxy-Authorization: Basic {base64.b64encode(self.user.encode()).decode()}\r\n"
        if self.user and wanted.lower() not in head.lower():
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        if self.refuses:
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        if method == "CONNECT":
            there = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            there = await asyncio.open_connection("127.0.0.1", urlsplit(target).port or 80)
            parts = urlsplit(target)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            there[1].write(head.replace(target, path, 1).encode())
        await self._both(reader, writer, *there)

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (version := (await reader.readexactly(1))[0]) == 4:
            _, port, address = struct.unpack(">BH4s", await reader.readexactly(7))
            await reader.readuntil(b"\0")
            host = str(ipaddress.IPv4Address(address))
            if host.startswith("0.0.0."):
                host = (await reader.readuntil(b"\0"))[:-1].decode()
            answer = b"\0\x5a" + bytes(6)
        else:
            assert version == 5
            ways = await reader.readexactly((await reader.readexactly(1))[0])
            if self.user:
                writer.write(b"\x05\x02" if 2 in ways else b"\x05\xff")
                _, length = await reader.readexactly(2)
                name = await reader.readexactly(length)
                word = await reader.readexactly((await reader.readexactly(1))[0])
                right = f"{name.decode()}:{word.decode()}" == self.user
                writer.write(b"\x01\x00" if right else b"\x01\x01")
                if not right:
                    writer.close()
                    return
            else:
                writer.write(b"\x05\x00")
            _, _, _, form = await reader.readexactly(4)
            if form == 3:
                host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            else:
                host = str(ipaddress.ip_address(await reader.readexactly(4 if form == 1 else 16)))
            (port,) = struct.unpack(">H", await reader.readexactly(2))
            answer = b"\x05\x00\x00\x01" + bytes(6)
        self.asked.append(f"SOCKS{version} {host}:{port}")
        if self.refuses:
            writer.write(b"\x05\x05\x00\x01" + bytes(6) if version == 5 else b"\0\x5b" + bytes(6))
            writer.close()
            return
        there = await asyncio.open_connection("127.0.0.1", port)
        writer.write(answer)
        await self._both(reader, writer, *there)

    async def _both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there_reader: asyncio.StreamReader,
        there: asyncio.StreamWriter,
    ) -> None:
        await asyncio.gather(_pump(reader, there), _pump(there_reader, writer))


@contextlib.asynccontextmanager
async def proxying(kind: str = "http", user: str = "") -> AsyncIterator[SmallProxy]:
    proxy = SmallProxy(kind, user)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """An authority's certificate, and a server's context for ``exchange.test`` that it vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("a certificate is made with openssl, which is not here")
    authority, key, mine = folder / "ca.pem", folder / "key.pem", folder / "cert.pem"

    def run(arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True, cwd=folder)

    new = "-newkey rsa:2048 -nodes -days 2"
    ca = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
    run(f"req -x509 {new} -subj /CN=TestCA {ca} -keyout ca.key -out ca.pem")
    run(f"req {new} -subj /CN={HOST} -keyout key.pem -out req.pem")
    (folder / "ext").write_text(f"subjectAltName=DNS:{HOST}\n")
    run("x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(mine, key)
    return authority, context


@contextlib.asynccontextmanager
async def secured(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port that speaks TLS, and leads to ``port``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(reader, there), _pump(there_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
