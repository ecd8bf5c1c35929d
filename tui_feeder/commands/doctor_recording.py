"""What doctor saw of the exchange, kept as evidence: answers of REST and messages of streams, bounded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import BinaryIO

import orjson

from tui_feeder.errors import HostError

#: Bytes kept of one answer, and of all of them in each file.
_MOST_OF_ONE, _MOST = 1 << 20, 16 << 20


class RecordingError(HostError):
    """What was seen cannot be kept."""


class Recording:
    """A folder with ``rest.jsonl`` and ``streams.jsonl``: a line an answer or message, as text.

    In ``probes.jsonl`` is what was asked of the exchange beside the checks, and what was seen.

    Args:
        folder: made if it is not there; files of before in it are replaced.

    Raises:
        RecordingError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = self.dropped = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._rest = (folder / "rest.jsonl").open("wb")
            self._streams = (folder / "streams.jsonl").open("wb")
            self._probes = (folder / "probes.jsonl").open("wb")
        except OSError as error:
            raise RecordingError(f"--record {folder}: {error.strerror}: name a folder to write to") from error

    def answer(self, url: str, status: int, body: bytes) -> None:
        """Keeps an answer of REST.

        Args:
            url: the address asked.
            status: of HTTP.
            body: as it came; of a long one the beginning.
        """
        self._keep(self._rest, {"url": url, "status": status}, body)

    def message(self, url: str, body: bytes) -> None:
        """Keeps a message of a stream.

        Args:
            url: where it came from.
            body: as it came.
        """
        self._keep(self._streams, {"url": url}, body)

    def probe(self, question: str, answer: str) -> None:
        """Keeps what a question to the exchange came to.

        Args:
            question: what was asked.
            answer: what was seen.
        """
        self._probes.write(orjson.dumps({"question": question, "answer": answer}) + b"\n")

    def _keep(self, writer: BinaryIO, head: dict[str, object], body: bytes) -> None:
        text = body[:_MOST_OF_ONE].decode(errors="replace")
        line = orjson.dumps({"at": time.time(), **head, "bytes": len(body), "body": text}) + b"\n"
        if writer.tell() + len(line) > _MOST:
            self.dropped += 1
            return
        writer.write(line)
        self.kept += 1

    def close(self) -> None:
        """Closes the files."""
        self._rest.close()
        self._streams.close()
        self._probes.close()
