"""The help as man pages: what a command does, examples that work, exit codes; and completion in a shell."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import COMMANDS
from commanding import command, environment

PROGRAM = Path(sys.executable).with_name("feeder-tui")


def test_the_commands_are_those_there_are() -> None:
    assert {words[0] for words in COMMANDS if words} == {
        "attach", "backfill", "backup", "cluster", "config", "doctor", "export", "gaps", "gateway", "info",
        "keys", "mcp", "profiles", "proof", "replay",
        "serve", "simulate", "sinks", "status", "verify",
    }  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_says_what_it_does_gives_examples_and_exit_codes(words: tuple[str, ...], tmp_path: Path) -> None:
    done = command(*words, "--help", cwd=tmp_path)
    assert done.code == 0
    text = re.sub(r"\n(?! *\n)\s*", " ", done.out)
    assert "Exit codes: 0 " in text
    examples = re.search(r"For example:\n(.*?)Exit codes", done.out, re.S)
    assert examples is not None
    found = [line.strip() for line in examples[1].splitlines() if line.strip()]
    assert found
    for line in found:
        own = line.partition("feeder-tui ")[2].partition(" | ")[0].partition(" > ")[0]
        given = shlex.split(own)
        assert tuple(given[: len(words)]) == words, line
        options = {word for word in given if word.startswith("-")}
        assert options <= COMMANDS[words], line


def test_options_of_help_need_no_configuration_and_print_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("nonsense")
    for words in ((), ("replay",), ("config", "check")):
        done = command(*words, "-h", cwd=tmp_path)
        assert (done.code, done.err) == (0, "")


@pytest.mark.skipif(shutil.which("bash") is None or not PROGRAM.exists(), reason="no bash, or not installed")
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    program = """
        eval "$(feeder-tui --show-completion bash)"
        complete -p feeder-tui
        for line in "rep" "replay --sp" "sinks ch" "export --format p"; do
            COMP_WORDS=(feeder-tui $line)
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _feeder_tui_completion feeder-tui
            echo "$line: ${COMPREPLY[*]}"
        done
    """
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", program], capture_output=True, text=True, timeout=60, check=True,
        cwd=tmp_path, env=environment(PATH=path, HOME=str(tmp_path)),
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0] == "complete -o default -F _feeder_tui_completion feeder-tui"
    assert lines[1:] == [
        "rep: replay",
        "replay --sp: --speed",
        "sinks ch: check",
        "export --format p: parquet",
    ]


def own_path(tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that finds the program."""
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    return environment(PATH=path, HOME=str(tmp_path), TERM="dumb", PS1="> ")


@pytest.mark.skipif(shutil.which("fish") is None or not PROGRAM.exists(), reason="no fish, or not installed")
def test_fish_completes_commands_and_options(tmp_path: Path) -> None:
    program = """
        _FEEDER_TUI_COMPLETE=source_fish feeder-tui | source
        for line in "rep" "replay --sp" "sinks ch" "export --format p"
            echo "$line: "(complete -C "feeder-tui $line" | string replace -r "\t.*" "")
        end
    """
    done = subprocess.run(
        ["fish", "--no-config", "-c", program], capture_output=True, text=True, timeout=60, check=True,
        cwd=tmp_path, env=own_path(tmp_path),
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "rep: replay",
        "replay --sp: --speed",
        "sinks ch: check",
        "export --format p: parquet",
    ]


@pytest.mark.skipif(shutil.which("zsh") is None or not PROGRAM.exists(), reason="no zsh, or not installed")
def test_zsh_completes_commands_and_options(tmp_path: Path) -> None:
    program, terminal = pty.fork()
    if program == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], own_path(tmp_path))
    try:
        set_up = 'autoload -U compinit; compinit -u -D; eval "$(feeder-tui --show-completion)"; echo re""ady'
        typed(terminal, f"{set_up}\n", "ready")
        for line, whole in (
            ("rep", "replay "),
            ("replay --sp", "replay --speed "),
            ("sinks ch", "sinks check "),
            ("export --format p", "export --format parquet "),
        ):
            typed(terminal, f"feeder-tui {line}\t", f"feeder-tui {whole}")
            os.write(terminal, b"\x15")  # the line is let go
    finally:
        os.close(terminal)
        os.waitpid(program, 0)


def typed(terminal: int, keys: str, wanted: str) -> None:
    """Type into a terminal, and wait for a text on it."""
    os.write(terminal, keys.encode())
    seen, end = b"", time.monotonic() + 60
    while wanted.encode() not in seen:
        assert select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0], seen
        seen += os.read(terminal, 4096)


@pytest.mark.skipif(not PROGRAM.exists(), reason="not installed")
def test_completion_is_installed_for_the_shell_it_is_asked_from(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{shlex.quote(str(PROGRAM))} --install-completion; exit $?"],
        capture_output=True, text=True, timeout=60, check=False,
        cwd=tmp_path, env=environment(HOME=str(tmp_path)),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    script = tmp_path / ".bash_completions" / "feeder-tui.sh"
    assert "complete -o default -F" in script.read_text()
    assert str(script) in (tmp_path / ".bashrc").read_text()


#: Once as ourselves, so that all modules are there, then as a user who has no home of his own.
HOMELESS = """
import contextlib, os, sys
from tui_feeder.cli import main
sys.argv[1:] = ["--install-completion"]
home = os.environ.pop("WANTED_HOME")
with contextlib.suppress(SystemExit):
    main()
del os.environ["HOME"]
if home:
    os.environ["HOME"] = home
if os.geteuid() == 0:
    os.setuid(12345)
main()
"""


@pytest.mark.parametrize("home", ["/dev/null", "/nonexistent", ""])
def test_completion_without_a_home_that_can_be_written_is_one_line(home: str, tmp_path: Path) -> None:
    if not home and os.geteuid():
        pytest.skip("only root can become a user without a home")
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{shlex.quote(sys.executable)} -c {shlex.quote(HOMELESS)}; exit $?"],
        capture_output=True, text=True, timeout=60, check=False,
        cwd="/", env=environment(HOME=str(tmp_path), WANTED_HOME=home),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("feeder-tui: "), done.stderr
    remedy = home or "set HOME to a folder that can be written"
    assert remedy in done.stderr
    assert "internal error" not in done.stderr
