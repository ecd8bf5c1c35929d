"""The files of a store as others leave them: cut short, garbage, other people's, deleted in use."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commanding import command, environment
from damaging import flipped
from samples import walk
from stores import BTC, child, next_line

from tui_feeder.engine.core.candle import Source
from tui_feeder.engine.storage.data_file import check_data_file
from tui_feeder.engine.storage.store import Store, StoreError

READING = (("info",), ("gaps",), ("verify", "--offline"), ("export", "--symbol", BTC), ("replay",))


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    path = tmp_path / "lmdb_data"
    store = Store(path, exchange="a simulated exchange")
    for name in (BTC, "ETHUSDT"):
        store.put(name, walk(4 * 1440), Source.ARCHIVE_DAY).result()
    store.close()
    return path


@pytest.fixture
def common_folder() -> Iterator[Path]:
    """A folder that other users may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def cut(file: Path) -> None:
    with file.open("r+b") as data:
        data.truncate(file.stat().st_size // 2)


def head_cut(file: Path) -> None:
    with file.open("r+b") as data:
        data.truncate(100)


def garbage(file: Path) -> None:
    file.write_bytes(random.Random(1).randbytes(100_000))


def empty(file: Path) -> None:
    file.write_bytes(b"")


def newer(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[20] = data[4096 + 20] = 2
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("hurt", "text"),
    [
        (cut, "data.mdb is damaged: it is cut short: "),
        (head_cut, "data.mdb is damaged: it ends after 100 bytes, inside its head"),
        (garbage, "data.mdb is damaged: its head is not that of an LMDB file"),
        (empty, "data.mdb is damaged: it is empty, 0 bytes, where a store was"),
        (newer, "data.mdb is damaged: it is of version 2 of LMDB's format, this program reads 1"),
        (Path.unlink, "holds no store: run feeder-tui or feeder-tui backfill first"),
    ],
)
def test_a_file_that_is_no_whole_store_is_told_by_every_command(
    storage: Path, hurt: Callable[[Path], None], text: str
) -> None:
    hurt(storage / "data.mdb")
    commands: tuple[tuple[str, ...], ...] = (("backup", "copy"), ("verify", "--offline", "--repair"))
    if hurt in (cut, empty):
        commands = (*commands, *READING, ("profiles", "rebuild"))
    for arguments in commands:
        done = command(*arguments, cwd=storage.parent)
        assert done.code == 1, (arguments, done)
        assert text in done.err
        assert done.err.count("\n") == 1
        if "is damaged" in text:
            assert "Restore a copy made with feeder-tui backup, or move" in done.err
    assert not (storage.parent / "copy").exists()


def test_an_empty_file_is_begun_anew_only_where_a_first_start_was_killed(tmp_path: Path) -> None:
    emptied, begun = tmp_path / "emptied", tmp_path / "begun"
    Store(emptied).close()
    empty(emptied / "data.mdb")
    for _ in range(2):
        with pytest.raises(StoreError, match="is damaged: it is empty, 0 bytes, where a store was"):
            Store(emptied)
        assert (emptied / "data.mdb").stat().st_size == 0
    (emptied / "lock.mdb").unlink()
    (emptied / "engine.lock").unlink()  # a copy that came to nothing: no start leaves the file alone
    with pytest.raises(StoreError, match="is damaged: it is empty"):
        Store(emptied)
    begun.mkdir()
    for name in ("engine.lock", "data.mdb"):
        (begun / name).touch()
    with pytest.raises(StoreError, match="holds no store yet: it was never written"):
        Store(begun, read_only=True)
    Store(begun).close()
    assert not list(Store(begun, read_only=True).symbols())


#: Reads the store of every folder named on a line, each in a process of its own, and prints how that ended.
READ = """
import os, sys, traceback
from pathlib import Path
from tui_feeder.engine.storage.store import Store, StoreError
def read(folder):
    try:
        store = Store(folder, read_only=True)
        for symbol in store.symbols():
            rows = store.read(symbol, 0, 1 << 62)
            for row in rows.view(f"V{rows.itemsize}").tolist():
                sys.stdout.write(f"{symbol} {row.hex()}\\n")
    except StoreError as error:
        print("refused", error)
for line in sys.stdin:
    child = os.fork()
    if not child:
        code = 1
        try:
            read(Path(line.rstrip()))
            code = 0
        except BaseException:
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os._exit(code)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def read_apart(reader: subprocess.Popen[str], folder: Path) -> tuple[int, list[str]]:
    """How the process that read the store of a folder ended, and the lines that it printed."""
    assert reader.stdin is not None
    assert reader.stdout is not None
    print(folder, file=reader.stdin, flush=True)
    lines = []
    for line in reader.stdout:
        if line.startswith("ended "):
            return int(line.split()[1]), lines
        lines.append(line.rstrip("\n"))
    pytest.fail("the reader is gone")


def test_any_flipped_byte_of_a_page_gives_no_wrong_row_and_no_signal(storage: Path, tmp_path: Path) -> None:
    file, draw = storage / "data.mdb", random.Random(int(os.environ.get("FLIPS_SEED", "7")))
    whole = file.read_bytes()
    pages = len(whole) // 4096
    structure = [n for n in range(pages) if whole[4096 * n + 10] & 0xB]  # all but the blocks themselves
    (tmp_path / "hurt").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", READ], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        code, rows = read_apart(reader, storage)
        right = set(rows)
        assert (code, len(right)) == (0, 2 * 4 * 1440)
        for _ in range(int(os.environ.get("FLIPS", "25"))):
            page = draw.choice(structure) if draw.random() < 0.8 else draw.randrange(pages)
            at = page * 4096 + (draw.randrange(64) if draw.random() < 0.5 else draw.randrange(4096))
            bit = draw.randrange(8)
            (tmp_path / "hurt" / "data.mdb").write_bytes(flipped(whole, at, bit))
            code, lines = read_apart(reader, tmp_path / "hurt")
            assert code == 0, (at, bit, code, lines[-5:])
            assert lines[:1] == [] or lines[0].startswith("refused") or right.issuperset(lines), (at, bit)
    shutil.rmtree(tmp_path / "hurt")


def test_a_check_beside_a_writer_raises_no_alarm(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with child("write", tmp_path / "store", "7") as writer:
        assert next_line(writer) == ["ready"]
        for _ in range(60):
            next_line(writer)
            check_data_file(tmp_path / "store" / "data.mdb")
        writer.kill()


def test_a_deleted_lock_lets_nobody_in_and_is_put_back(storage: Path) -> None:
    store = Store(storage)
    (storage / "engine.lock").unlink()
    with pytest.raises(StoreError, match="is in use by another process: stop it"):
        Store(storage)
    assert store.files_problem() is None
    with pytest.raises(StoreError, match=f"is in use by feeder-tui pid {os.getpid()} "):
        Store(storage)
    (storage / "data.mdb").rename(storage / "elsewhere")
    files_problem = store.files_problem()
    assert files_problem is not None
    assert "data.mdb was deleted or replaced while the feeder writes it" in files_problem
    (storage / "elsewhere").rename(storage / "data.mdb")
    assert store.files_problem() is None
    store.close()
    Store(storage).close()


#: Once as ourselves, so that all modules are there, then as a user who may read neither them nor our home.
_AS_OTHER = """
import contextlib, os, sys
from tui_feeder.cli import app, main
kept = os.dup(1), os.dup(2)
nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(nowhere, 1), os.dup2(nowhere, 2)
with contextlib.suppress(SystemExit):
    app(prog_name="feeder-tui")
sys.stdout.flush(), sys.stderr.flush()
os.dup2(kept[0], 1), os.dup2(kept[1], 2)
os.setgroups([]), os.setgid(65534), os.setuid(65534)
main()
"""


def as_other(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _AS_OTHER, *arguments], cwd="/", text=True, capture_output=True,
        env=environment(), timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_another_user_reads_the_store_or_is_told_how(storage: Path, common_folder: Path) -> None:
    storage = shutil.copytree(storage, common_folder / "store")
    storage.chmod(0o700)
    where = ("--storage", str(storage))
    done = as_other("info", *where)
    assert done.returncode == 1
    assert (
        f"{storage / 'data.mdb'} cannot be read (Permission denied); the store is of user root" in done.stderr
    )
    assert f"chmod g+rx {storage}" in done.stderr
    storage.chmod(0o755)
    for file in storage.iterdir():
        file.chmod(0o644)
    for arguments in READING:
        done = as_other(*arguments, *where)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
    store = Store(storage)
    done = as_other("info", *where)
    assert done.returncode == 1
    assert f"a feeder is writing {storage}, and {storage / 'lock.mdb'} cannot be written" in done.stderr
    assert f"chmod g+rw {storage / 'lock.mdb'}" in done.stderr
    (storage / "lock.mdb").chmod(0o666)
    done = as_other("export", "--symbol", BTC, *where)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1 + 4 * 1440
    store.put(BTC, walk(4 * 1440 + 1)[-1:], Source.REST).result()
    store.close()
    done = as_other("verify", "--offline", "--repair", *where)
    assert done.returncode == 1
    assert f"the storage directory {storage} cannot be written (Permission denied)" in done.stderr


def test_a_refused_engine_or_reader_makes_no_empty_store_where_it_was_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "store"
    held = Store(path)
    (path / "data.mdb").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is in use by"):
        Store(path)
    with pytest.raises(StoreError, match="holds no store"):
        Store(path, read_only=True)
    assert not (path / "data.mdb").exists()
    (tmp_path / "elsewhere").rename(path / "data.mdb")
    held.close()
    Store(path).close()
