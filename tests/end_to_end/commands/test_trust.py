"""What another user may have put in our way is not used: sockets, configurations, logs, stores."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import Done, command

from tui_feeder.paths import FolderError, check_owner, check_private

OTHER = 65_534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of another user need root")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder as the temporary one: everyone may write to it."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    for above in (tmp_path, *tmp_path.parents):
        if above != Path("/") and above.stat().st_uid == 0:
            above.chmod(above.stat().st_mode | 0o011)
    return folder


@contextlib.contextmanager
def listening_at(path: Path, owner: int) -> Iterator[None]:
    """A socket that listens, made by a process of that user, which the kernel tells."""
    child = subprocess.Popen(
        [sys.executable, "-c",
         "import os, socket, sys\n"
         f"os.setgid({owner}); os.setuid({owner})\n"
         f"one = socket.socket(socket.AF_UNIX)\none.bind({str(path)!r})\nos.chmod({str(path)!r}, 0o777)\n"
         "one.listen()\nprint(flush=True)\nsys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"\n"
    try:
        yield
    finally:
        child.kill()
        child.communicate()


def status(shared: Path, *arguments: str) -> Done:
    """``status`` where nothing but the temporary folder is there for sockets."""
    return command("status", *arguments, cwd=Path("/"), TMPDIR=str(shared), XDG_RUNTIME_DIR="")


def attached_as(user: int, path: Path) -> str:
    """What a client of that user says when it attaches; its program is loaded before it becomes that user."""
    program = (
        "import os, encodings.idna\nfrom pathlib import Path\n"
        "from tui_feeder.attach.client import AttachedMonitor, AttachError\n"
        f"os.setgid({user}); os.setuid({user})\n"
        f"try: AttachedMonitor(Path({str(path)!r}))\nexcept AttachError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    assert not done.stderr
    return done.stdout


def test_a_folder_of_sockets_that_another_user_made_is_not_looked_into(shared: Path) -> None:
    folder = shared / f"feeder-tui-{os.geteuid()}"
    folder.mkdir()
    os.chown(folder, OTHER, OTHER)
    with listening_at(folder / "4711.sock", OTHER):
        done = status(shared)
    assert done.code == 1
    assert done.err == (
        f"feeder-tui: {folder} belongs to another user (number {OTHER}): no feeder is looked for there; "
        "name its socket with --socket\n"
    )
    assert (folder / "4711.sock").exists()  # not taken away either


@pytest.mark.parametrize("kind", ["link", "open", "file"])
def test_a_folder_that_is_a_link_or_open_to_others_is_not_looked_into(shared: Path, kind: str) -> None:
    folder = shared / f"feeder-tui-{os.geteuid()}"
    if kind == "link":
        (shared / "theirs").mkdir()
        folder.symlink_to(shared / "theirs")
        wanted = f"{folder} is not a folder"
    elif kind == "file":
        folder.touch()
        wanted = f"{folder} is not a folder"
    else:
        folder.mkdir()
        folder.chmod(0o777)
        wanted = f"others may write to {folder}: chmod 700"
    with pytest.raises(FolderError, match=f"^{wanted}$"):
        check_private(folder)
    assert wanted in status(shared).err


def test_what_listens_has_to_be_of_the_same_user(shared: Path) -> None:
    path = shared / "theirs.sock"
    with listening_at(path, OTHER):
        assert attached_as(65_533, path) == (
            f"{path}: this is the socket of another user (number {OTHER}): it is not trusted; "
            "attach as that user\n"
        )
        # The administrator may look at everyone's; this one is silent.
        assert "another user" not in status(shared, "--socket", str(path)).err


def test_a_socket_is_not_put_in_the_place_of_another_users(shared: Path) -> None:
    path = shared / "feeder.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    os.chown(path, OTHER, OTHER)
    done = command("--demo", "--no-ui", "--run-for", "1", cwd=shared, FEEDER_SERVICE__SOCKET=str(path))
    assert done.code == 1
    assert f"service.socket: {path} belongs to another user (number {OTHER})" in done.err
    assert stat.S_ISSOCK(path.lstat().st_mode)


def test_the_runtime_folder_of_the_user_before_su_is_left_alone(shared: Path, tmp_path: Path) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    os.chown(runtime, OTHER, OTHER)
    done = command("status", cwd=tmp_path, XDG_RUNTIME_DIR=str(runtime), TMPDIR=str(shared))
    assert f"searched in {shared}/feeder-tui-0" in done.err
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize("what", ["config", "log", "store", "messages"])
def test_files_another_user_left_where_everyone_may_write_are_not_used(shared: Path, what: str) -> None:
    path = shared / {"config": "config.toml", "log": "feeder.log"}.get(what, what)
    if what in ("config", "log"):
        path.touch()
    else:
        path.mkdir()
        path.chmod(0o777)
    os.chown(path, OTHER, OTHER)
    settings = {
        "config": {},
        "log": {"FEEDER_SERVICE__LOG_FILE": str(path)},
        "store": {},
        "messages": {"FEEDER_FILE__ENABLED": "true", "FEEDER_FILE__PATH": str(path)},
    }[what]
    if what == "config":
        done = command("config", "check", cwd=shared)
        assert done.code == 2
        assert "config.toml: is not read by itself: " in done.err
        assert "name it with --config" in done.err
        named = command("config", "check", "--config", "config.toml", cwd=shared)
        assert named.code == 0
    elif what == "store":
        done = command("--demo", "--no-ui", "--run-for", "1", "--storage", path, cwd="/")
        assert done.code == 1
    elif what == "log":
        done = command("--demo", "--no-ui", "--run-for", "1", cwd=Path("/"), **settings)
        assert done.code == 1
    else:
        done = command("sinks", "check", cwd=Path("/"), **settings)
        assert done.code == 4
        done = Done(done.code, "", done.out + done.err)
    assert (
        f"belongs to another user (number {OTHER}) and lies in a folder that everyone may write to"
        in done.err
    )


def test_what_is_the_systems_or_ours_or_lies_where_others_may_not_write_is_used(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.touch()
    check_owner(mine)
    os.chown(mine, OTHER, OTHER)
    check_owner(mine)  # as a file mounted into a container
    check_owner(tmp_path / "absent")
    check_owner(Path("relative"))
