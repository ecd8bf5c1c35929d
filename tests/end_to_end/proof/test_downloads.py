"""What an archive may answer to ``verify_proof.py``: sizes are bounded, and no answer leads elsewhere."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import proof_from_document as document
import pytest
from proof_vectors import HEADS, LINES, SECOND_HEAD, SECOND_LEAF, ZIP, VectorFolder

from tui_feeder import verify_proof
from tui_feeder.engine.exchanges.binance import archive
from tui_feeder.engine.proof.signing import make_key

PLACE = "usdm/AUSDT 2026-02-01: "
PART = bytes(1 << 16)


class _Handler(BaseHTTPRequestHandler):
    """Answers with what a test has put in the place of a zip or its checksum."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, _Archive)
        server.asked.append(self.path)
        server.was_asked.set()
        answer = server.checksum if self.path.endswith(".CHECKSUM") else server.zip
        with contextlib.suppress(ConnectionError):  # whoever asked has seen enough
            answer(self)

    def log_message(self, format: str, *args: object) -> None:
        pass


Answer = Callable[[BaseHTTPRequestHandler], None]


def body(content: bytes, length: int | None = None, more: tuple[tuple[str, str], ...] = ()) -> Answer:
    def answer(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(200)
        asked.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in more:
            asked.send_header(name, value)
        asked.end_headers()
        asked.wfile.write(content)

    return answer


def status(code: int, location: str = "") -> Answer:
    def answer(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(code)
        if location:
            asked.send_header("Location", location)
        asked.end_headers()
        endless_body(asked)

    return answer


def endless_body(asked: BaseHTTPRequestHandler) -> None:
    while True:
        asked.wfile.write(PART)


def endless(asked: BaseHTTPRequestHandler) -> None:
    asked.send_response(200)
    asked.end_headers()
    endless_body(asked)


def endless_chunks(asked: BaseHTTPRequestHandler) -> None:
    asked.protocol_version = "HTTP/1.1"
    asked.send_response(200)
    asked.send_header("Transfer-Encoding", "chunked")
    asked.end_headers()
    while True:
        asked.wfile.write(b"%x\r\n" % len(PART) + PART + b"\r\n")


def words(asked: BaseHTTPRequestHandler) -> None:
    asked.wfile.write(b"this is no HTTP\r\n\r\n")


def endless_headers(asked: BaseHTTPRequestHandler) -> None:
    asked.wfile.write(b"HTTP/1.0 200 OK\r\n")
    while True:
        asked.wfile.write(b"X-More: more\r\n")


def trickling(asked: BaseHTTPRequestHandler) -> None:
    """A body that never stands still, and never ends while the test lasts."""
    asked.send_response(200)
    asked.send_header("Content-Length", str(len(ZIP)))
    asked.end_headers()
    drip(asked, b"x")


def drip(asked: BaseHTTPRequestHandler, drop: bytes) -> None:
    assert isinstance(asked.server, _Archive)
    while not asked.server.over.wait(0.02):
        asked.wfile.write(drop)


class _Archive(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, days: VectorFolder) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.was_asked, self.over = threading.Event(), threading.Event()
        self.asked: list[str] = []
        self.zip, self.checksum = body(ZIP), body(days.checksum.read_bytes())
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def days(tmp_path: Path) -> VectorFolder:
    return VectorFolder(tmp_path)


@pytest.fixture
def served(days: VectorFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Archive]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = _Archive(days)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def verify(days: VectorFolder, archive_url: str, *more: str) -> tuple[int, str]:
    verify_proof._read.cache_clear()
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = verify_proof.main([str(days.proof), "--archive", archive_url, *more])
    return code, out.getvalue()


def test_a_usual_answer_holds(days: VectorFolder, served: _Archive) -> None:
    code, text = verify(days, served.url)
    assert code == 0, text
    assert [path.rpartition("/")[2] for path in served.asked] == [days.zip.name, days.checksum.name]


def test_as_much_is_read_as_the_feeder_reads() -> None:
    assert max(archive.MAX_ZIP, archive.MAX_UNPACKED) <= verify_proof.MOST


#: Where the zip cannot be read, or what was read of it is another file.
USELESS = "leaf, zip or CHECKSUM cannot be used: |not that of the zip|not the one in the CHECKSUM"


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (endless, USELESS),
        (endless_chunks, USELESS),
        (body(b"few", 1 << 40), "could not be checked: the answer was cut off"),
        (body(b""), USELESS),
        (status(404), "could not be checked: .*HTTP Error 404"),
        (status(500), "could not be checked: .*HTTP Error 500"),
        (status(301, "https://example.org/x.zip"), "could not be checked: .*HTTP Error 301"),
        (status(302, "file:///etc/passwd"), "could not be checked: .*HTTP Error 302"),
        (status(307, "/data/other.zip"), "could not be checked: .*HTTP Error 307"),
        (status(308, "ftp://127.0.0.1/x"), "could not be checked: .*HTTP Error 308"),
        (words, "could not be checked: .*this is no HTTP"),
        (endless_headers, "could not be checked: "),
        (lambda asked: asked.connection.close(), "could not be checked: "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("of", ["zip", "CHECKSUM"])
def test_an_answer_that_cannot_be_used_is_named(
    of: str, answer: Answer, named: str, days: VectorFolder, served: _Archive
) -> None:
    setattr(served, of.lower(), answer)
    code, text = verify(days, served.url)
    assert re.search(f"^{PLACE}.*({named})", text, re.MULTILINE), text
    word, wanted = ("COULD NOT BE CHECKED, 1 leaves: ", 3) if "checked" in named else ("DOES NOT HOLD, ", 1)
    assert text.splitlines()[-1].startswith(word)
    assert code == wanted
    assert all(path.endswith((".zip", ".CHECKSUM")) and days.zip.name in path for path in served.asked)


def test_it_ends_when_it_is_interrupted(days: VectorFolder, served: _Archive) -> None:
    served.zip = trickling
    command = [sys.executable, "-I", str(verify_proof.__file__), str(days.proof), "--archive", served.url]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert served.was_asked.wait(60)
    running.send_signal(signal.SIGINT)
    printed, faults = running.communicate(timeout=60)
    assert (running.returncode, printed, faults) == (-signal.SIGINT, "", "")


def test_it_ends_when_nobody_reads_on(days: VectorFolder, served: _Archive) -> None:
    command = [sys.executable, "-I", str(verify_proof.__file__), str(days.proof), "--archive", served.url]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    running.stdout.close()
    assert running.stderr is not None
    assert running.stderr.read() == ""
    assert running.wait(60) == -signal.SIGPIPE


def test_nobody_there_is_named(days: VectorFolder, served: _Archive) -> None:
    served.server_close()
    code, text = verify(days, served.url)
    assert code == 3
    assert f"{PLACE}could not be checked: <urlopen error " in text
    assert "\nCOULD NOT BE CHECKED, 1 leaves: " in text


@pytest.mark.parametrize(
    "address", ["", "ftp://127.0.0.1:9", "file://elsewhere/x", "data://x", "http://", "://"]
)
def test_an_address_that_is_none_is_named_at_the_leaf(address: str, days: VectorFolder) -> None:
    code, text = verify(days, address)
    assert code in (1, 3)
    assert re.search(f"{PLACE}(leaf, zip or CHECKSUM cannot be used|could not be checked): ", text)


# --- zips ----------------------------------------------------------------------------------------


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as written:
        written.writestr("AUSDT-1m-2026-02-01.csv", content)
    return made.getvalue()


def encrypted() -> bytes:
    content = bytearray(zipped(b"x"))
    content[6] |= 1  # flags of the file, and of the directory
    content[content.index(b"PK\1\2") + 8] |= 1
    return bytes(content)


def with_size(size: int) -> bytes:
    """A zip that states another size of its file than it has."""
    content = bytearray(zipped(bytes(1 << 20)))
    at = content.index(b"PK\1\2") + 24
    content[at : at + 4] = size.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (zipped(bytes(verify_proof.MOST + 1)), USELESS),
        (zipped(LINES.encode(), zipfile.ZIP_BZIP2), "cannot be used: .*not one file, stored or deflated"),
        (zipped(LINES.encode(), zipfile.ZIP_LZMA), "cannot be used: .*not one file, stored or deflated"),
        (encrypted(), "cannot be used: .*password"),
        (with_size(5), "cannot be used: .*CRC"),
        (ZIP[:-1], "cannot be used: "),
        (ZIP[: len(ZIP) // 2], "cannot be used: "),
        (b"PK\5\6" + bytes(18), "cannot be used: "),
        (bytes(100), "cannot be used: "),
    ],
    ids=range(9),
)  # fmt: skip
def test_a_zip_that_cannot_be_used_is_named(content: bytes, named: str, days: VectorFolder) -> None:
    days.zip.write_bytes(content)
    code, text = verify(days, str(days.archive))
    assert code == 1
    assert re.search(f"^{PLACE}.*({named})", text, re.MULTILINE), text


def test_a_zip_may_be_stored_or_deflated() -> None:
    wanted = verify_proof._lines(ZIP, json.loads(SECOND_LEAF))
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert verify_proof._lines(zipped(LINES.encode(), method), json.loads(SECOND_LEAF)) == wanted
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with pytest.raises(ValueError, match="neither stored nor deflated"):
            document.read_zip(zipped(LINES.encode(), method), "2026-02-01")


def test_any_place_of_a_zip_may_be_wrong(days: VectorFolder) -> None:
    for at in range(len(ZIP)):
        content = bytearray(ZIP)
        content[at] ^= 0xFF
        days.zip.write_bytes(bytes(content))
        verify_proof._read.cache_clear()
        faults = ["it cannot be used"]
        with contextlib.suppress(Exception):
            faults, _ = verify_proof._leaf_faults(json.loads(SECOND_LEAF), days.archive.as_uri())
        assert faults, at


# --- signatures ----------------------------------------------------------------------------------


def keygen_says(days: VectorFolder, name: str) -> bool:
    """Whether ``ssh-keygen`` by itself accepts a head, as the document has it."""
    command = ["ssh-keygen", "-Y", "verify", "-f", str(days.proof / "allowed_signers"), "-I", "feeder-tui"]
    head = days.proof / name
    done = subprocess.run(
        [*command, "-n", "feeder-tui-proof", "-s", str(head / "head.json.sig")],
        input=(head / "head.json").read_bytes(), capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 0


def test_a_wrong_key_is_told(days: VectorFolder, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    code, text = verify(days, str(days.archive), "--key", str(tmp_path / "other.pub"))
    assert code == 1
    assert text.count(": signature: it is of another key\n") == 2


@pytest.mark.parametrize("content", ["", "words", "ssh-rsa AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----"])
def test_a_key_that_is_none_is_told(content: str, days: VectorFolder, tmp_path: Path) -> None:
    (file := tmp_path / "words.pub").write_text(content)
    with pytest.raises(SystemExit, match=rf"no public key \(as in a file \.pub\) is in {file}"):
        verify(days, str(days.archive), "--key", str(file))


def test_a_pipe_in_the_place_of_a_key_is_told(days: VectorFolder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pub")  # from which nothing ever comes
    with pytest.raises(SystemExit, match=r"--key cannot be used: .*no such regular file"):
        verify(days, str(days.archive), "--key", str(tmp_path / "pipe.pub"))


def test_a_wrong_order_is_told(days: VectorFolder) -> None:
    first, second = (days.proof / name for name, _, _ in HEADS)
    first.rename(aside := days.proof / "aside")
    second.rename(first)
    aside.rename(second)
    assert keygen_says(days, HEADS[0][0])  # a signature alone does not show it
    code, text = verify(days, str(days.archive))
    assert code == 1
    for at, (name, _, _) in enumerate(HEADS):
        assert f"head {name}: field number does not fit: {2 - at}, not {at + 1}\n" in text
        assert f"head {name}: field previous does not fit" in text
    assert (
        f"head {HEADS[1][0]}: field time does not fit: 2026-02-02T08:41:07Z, not 2026-02-03T10:00:02Z\n"
        in text
    )


def test_a_wrong_date_is_told(days: VectorFolder) -> None:
    (days.proof / HEADS[1][0]).rename(days.proof / "000002-2026-02-02")
    assert keygen_says(days, "000002-2026-02-02")
    code, text = verify(days, str(days.archive))
    assert code == 1
    assert "head 000002-2026-02-02: field day does not fit: 2026-02-01, not 2026-02-02\n" in text


def test_a_changed_date_is_told_with_its_signature(days: VectorFolder) -> None:
    head = days.proof / HEADS[1][0] / "head.json"
    head.write_bytes(head.read_bytes().replace(b'"time":"2026-02-03', b'"time":"2026-02-04'))
    assert not keygen_says(days, HEADS[1][0])
    assert re.search("signature: .*incorrect signature", verify(days, str(days.archive))[1])


def test_a_missing_head_is_told(days: VectorFolder) -> None:
    shutil.rmtree(days.proof / HEADS[0][0])
    assert keygen_says(days, HEADS[1][0])
    code, text = verify(days, str(days.archive))
    assert code == 1
    assert text.startswith(f"head {HEADS[1][0]}: field number does not fit: 2\n") or "field previous" in text


def test_a_signature_for_another_purpose_is_told(days: VectorFolder, tmp_path: Path) -> None:
    home = days.proof / HEADS[1][0]
    (copy := tmp_path / "head.json").write_bytes((home / "head.json").read_bytes())
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(tmp_path / "key"), "-n", "git", str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    (home / "head.json.sig").write_bytes(copy.with_name("head.json.sig").read_bytes())
    code, text = verify(days, str(days.archive))
    assert code == 1
    assert re.search("signature: .*namespace does not match", text), text


def test_a_program_that_cannot_be_run_is_told(
    days: VectorFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ssh-keygen").write_text("no program")
    (tmp_path / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, text = verify(days, str(days.archive))
    assert code == 1
    assert ": head.json.sig cannot be used: " in text


def test_where_there_is_no_ssh_keygen_the_last_line_shows_it(
    days: VectorFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, text = verify(days, str(days.archive))
    assert code == 0
    assert text.splitlines()[-1].startswith("holds: (no ssh-keygen: no signatures), 2 heads, 1 leaves, 0")


def test_the_reference_has_the_same_heads(days: VectorFolder) -> None:
    assert document.check_chain(document.read_folder(days.proof), days.digest_of(2)) == []
    assert document.one_form(SECOND_HEAD.encode())["number"] == 2


def test_nothing_is_imported_from_the_folder_that_is_judged(days: VectorFolder) -> None:
    """Without -I Python looks for modules beside the script first, and whoever made the folder may do so."""
    shutil.copy(verify_proof.__file__, days.proof)
    source = (days.proof / "verify_proof.py").read_text()
    names = {name for line in re.findall(r"^(?:import|from) ([\w, ]+?)(?: import.*)?$", source, re.MULTILINE)
             for name in line.split(", ")}  # fmt: skip
    assert {"zipfile", "json", "urllib"} <= names
    for name in names - {"sys"}:
        (days.proof / f"{name}.py").write_text("print('holds: a module of the folder'); raise SystemExit")
    command = [sys.executable, "proof/verify_proof.py", "proof", "--archive", str(days.archive)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=days.proof.parent, env=kept, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "a module of the folder" not in done.stdout


def test_a_file_that_a_directory_lacks_could_not_be_checked(days: VectorFolder) -> None:
    days.zip.unlink()
    code, text = verify(days, str(days.archive))
    assert code == 3
    assert re.search(f"^{PLACE}could not be checked: there is no such regular file", text, re.MULTILINE)


def test_no_symbol_leads_out_of_the_directory(days: VectorFolder) -> None:
    """A zip of the signer's own making, beside the proof."""
    symbol = "../../../../../../a/b/c/d/e/AUSDT"
    path = f"/data/futures/um/daily/klines/{symbol}/1m/{symbol}-1m-2026-02-01.zip".replace(symbol, "%s")
    made = Path(os.path.normpath(f"{days.archive}{path % (symbol, symbol)}"))
    assert made.is_relative_to(days.archive.parent)
    assert not made.is_relative_to(days.archive)
    made.parent.mkdir(parents=True)
    made.write_bytes(ZIP)
    made.with_name(f"{made.name}.CHECKSUM").write_bytes(days.checksum.read_bytes())
    quoted = path % ((symbol.replace("/", "%2F"),) * 2)
    leaf = json.loads(SECOND_LEAF)
    leaf["symbol"], leaf["sources"]["archive"]["path"] = symbol, quoted
    days.sign_leaf(document.canonical_json(leaf))
    code, text = verify(days, str(days.archive))
    assert code != 0
    assert re.search(
        r"^usdm/\.\./.*: could not be checked: there is no such regular file", text, re.MULTILINE
    )


def test_a_locator_that_is_not_of_the_minutes_is_named(days: VectorFolder) -> None:
    leaf = json.loads(SECOND_LEAF)
    leaf["locator"] = ("0" if leaf["locator"][0] != "0" else "1") + leaf["locator"][1:]
    days.sign_leaf(document.canonical_json(leaf))
    code, text = verify(days, str(days.archive))
    assert code == 1
    assert f"{PLACE}field locator is not that of its minutes\n" in text


def test_a_key_that_nothing_can_check_is_no_proof(
    days: VectorFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (file := tmp_path / "other.pub").write_text(make_key(tmp_path / "other").allowed_signer)
    code, text = verify(days, str(days.archive), "--key", str(file))
    assert code == 3
    assert text.splitlines()[-1].startswith("COULD NOT BE CHECKED, 0 leaves: (no ssh-keygen: no signatures)")


@pytest.mark.parametrize(
    ("size", "taken"),
    [("10", True), ("nan", False), ("1e308", False), ("100", False), ("9.8", False), ("-10", False),
     ("\u0663", False), ("0", False), ("inf", False)],
)  # fmt: skip
def test_what_a_contract_is_worth_must_fit_prices_and_coins(size: str, taken: bool) -> None:
    """A minute of 1,000 contracts of 10 USD and 100 coins, at prices of 99.5 to 100.5."""
    row = b"1769904000000,100,100.5,99.5,100,1000,1769904059999,100,7,400,40,0"
    leaf = {**json.loads(SECOND_LEAF), "market": "coinm", "contract_size": size, "other": []}
    if taken:
        assert verify_proof._read_row(row, leaf)[1] == "p,100,100.5,99.5,100,100,10000,7,40,4000"
        return
    with pytest.raises(ValueError, match="contract_size does not fit"):
        verify_proof._read_row(row, leaf)
