"""What a configuration needs of this machine: packages, TLS files, folders, programs. No network is used."""

from __future__ import annotations

import importlib
import os
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tui_feeder.configuration.problems import Problem
from tui_feeder.configuration.reading import LoadedConfig
from tui_feeder.configuration.sections import Config
from tui_feeder.paths import FolderError, expand_user, runtime_folder


class Requirement(NamedTuple):
    """Something that is missing for the configuration."""

    key: str  # of the configuration
    message: str
    hint: str  # what to do
    fatal: bool  # a run cannot start with it; otherwise the part concerned waits and reports it

    def __str__(self) -> str:
        return f"{self.key} {self.message}: {self.hint}"


def problem_from_need(loaded: LoadedConfig, need: Requirement) -> Problem:
    """Describes what the configuration needs and this machine lacks.

    Args:
        loaded: the configuration with the origin of each value.
        need: what is missing.

    Returns:
        The problem, at the place that states the key.
    """
    place = loaded.origins.get(need.key, "default").removeprefix("file ")
    return Problem(place, need.key, None, None, need.message, hint=need.hint)


def unmet_requirements(config: Config) -> list[Requirement]:
    """Checks whether this machine has what a configuration needs; imports what is enabled, changes nothing.

    Args:
        config: the configuration.

    Returns:
        Everything that is not as needed.
    """
    return [
        *_kafka(config),
        *_database(config),
        *_files(config),
        *(_packages("trades.symbols", "cramjam") if config.trades.symbols else ()),
        *_proof(config),
        *_folders(config),
        *_socket(config),
        *_program(config),
    ]


def _kafka(config: Config) -> Iterator[Requirement]:
    kafka = config.kafka
    if not kafka.enabled:
        return
    yield from _packages("kafka.enabled", "aiokafka")
    if kafka.compression_type in ("snappy", "lz4", "zstd"):
        yield from _packages("kafka.compression_type", "cramjam")
    security = kafka.security
    if security.protocol.endswith("SSL"):
        above = "kafka.security"
        files = {
            f"{above}.ssl_cafile": security.ssl_cafile,
            f"{above}.ssl_certfile": security.ssl_certfile,
            f"{above}.ssl_keyfile": security.ssl_keyfile,
        }
        yield from _tls_files(files)


def _database(config: Config) -> Iterator[Requirement]:
    if config.database.enabled:
        yield from _packages("database.enabled", "asyncpg")
        if config.database.ssl_mode.startswith("verify"):
            yield from _tls_files({"database.ssl_cafile": config.database.ssl_cafile})


def _files(config: Config) -> Iterator[Requirement]:
    if config.file.enabled:
        if config.file.compression == "zstd":
            yield from _packages("file.compression", "cramjam")
        yield from _folder("file.path", config.file.path)
    if config.parquet.enabled:
        yield from _packages("parquet.enabled", "pyarrow", "pip install 'feeder-tui[parquet]'")
        yield from _folder("parquet.folder", config.parquet.folder)
    if config.parquet.months_folder is not None:
        yield from _packages("parquet.months_folder", "pyarrow", "pip install 'feeder-tui[parquet]'")
        yield from _folder("parquet.months_folder", config.parquet.months_folder)


def _proof(config: Config) -> Iterator[Requirement]:
    if not config.proof.enabled:
        return
    yield from _packages("proof.enabled", "cryptography", "pip install 'feeder-tui[proof]'")
    yield from _folder("proof.folder", config.proof.folder)
    if config.proof.key_file is not None and not os.access(config.proof.key_file, os.R_OK):
        text = f"names {config.proof.key_file}, which cannot be read"
        yield Requirement("proof.key_file", text, "make one with: feeder-tui proof keygen FILE", True)


def _folders(config: Config) -> Iterator[Requirement]:
    yield from _folder("application.storage_path", config.application.storage_path)
    if config.service.log_file is not None:
        yield from _folder("service.log_file", config.service.log_file.parent)


def _socket(config: Config) -> Iterator[Requirement]:
    """A folder that is there, for the socket; that of ``auto`` is made by the run."""
    key, stated = "service.socket", config.service.socket
    if stated in ("auto", "off"):
        return
    try:
        path = expand_user(stated)
        if path.parent == runtime_folder():
            return
        there, usable = path.parent.is_dir(), os.access(path.parent, os.W_OK | os.X_OK)
    except (FolderError, OSError) as error:
        yield Requirement(key, f"{stated} cannot be used: {error}", "name another", False)
        return
    if not there:
        yield Requirement(
            key, f"{stated}: there is no folder {path.parent}", "make it, or name another socket", False
        )
    elif not usable:
        yield Requirement(
            key, f"{stated}: {path.parent} cannot be written", "check its owner and mode", False
        )


def _program(config: Config) -> Iterator[Requirement]:
    if config.alerts.command and shutil.which(config.alerts.command[0]) is None:
        text = f"names a program that cannot be run here: {config.alerts.command[0]}"
        yield Requirement(
            "alerts.command", text, "write its whole path, and see that it is executable", False
        )


def _packages(
    key: str, package: str, hint: str = "install feeder-tui again, with all it depends on"
) -> Iterator[Requirement]:
    try:
        importlib.import_module(package)
    except ImportError as error:
        text = f"needs the package {package}, which cannot be imported ({error})"
        yield Requirement(key, text, hint, True)


def _tls_files(files: dict[str, Path | None]) -> Iterator[Requirement]:
    """Files of certificates and keys, by their keys in the order authority, certificate, key."""
    readable = True
    for key, file in files.items():
        if file is None:
            continue
        try:
            file.read_bytes()
        except OSError as error:
            readable = False
            text = f"names {file}, which cannot be read: {error.strerror}"
            yield Requirement(key, text, "check its path, owner and mode", True)
    cafile, certfile, keyfile = (*files.values(), None, None)[:3]
    if not readable:
        return
    try:
        made = ssl.create_default_context(cafile=cafile)
    except (OSError, ssl.SSLError) as error:
        yield Requirement(
            next(iter(files)), f"{cafile} holds no certificates: {error}", "it must be PEM", True
        )
        return
    if certfile is not None:
        try:
            made.load_cert_chain(certfile, keyfile)
        except (OSError, ssl.SSLError) as error:
            text = f"{certfile} cannot be used with its key: {error}"
            yield Requirement(list(files)[1], text, "both must be PEM and belong together", True)


def _folder(key: str, folder: Path) -> Iterator[Requirement]:
    """A folder that is there, or whose next one above can have it, for writing."""
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        yield Requirement(key, f"{folder} cannot be looked at: {error.strerror}", "name another", False)
        return
    if not there.is_dir():
        yield Requirement(key, f"{folder}: {there} is not a folder", "name another", False)
    elif not os.access(there, os.W_OK | os.X_OK):
        yield Requirement(key, f"{folder}: {there} cannot be written", "check its owner and mode", False)
