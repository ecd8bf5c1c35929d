"""The command in a window of tmux, as a user sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

from places import ROOT


class Window:
    """A tmux server of its own with the command in its only window."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        size: str = "80x24",
        program: str = "-m tui_feeder",
        lang: str = "C.UTF-8",
    ) -> None:
        self.folder = folder
        self.server = f"feeder-{uuid.uuid4().hex[:8]}"
        width, height = size.split("x")
        others = ("FEEDER_", "TMUX", "SSH_", "LC_")
        keep = {k: v for k, v in os.environ.items() if not k.startswith(others)}
        command = f"{sys.executable} {program} {' '.join(arguments)}; echo code $?; cat"
        subprocess.run(
            ["tmux", "-L", self.server, "-f", "/dev/null", "new-session", "-d", "-s", "w", "-x", width,
             "-y", height, "-c", str(folder), command],
            check=True,
            env={**keep, "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT), "LANG": lang},
        )  # fmt: skip

    def tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.server, *arguments], capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", "w", *keys)

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-J", "-t", "w")

    def wait_for(self, *texts: str, gone: str = "\0", seconds: float = 45.0) -> str:
        """The screen, once it has all the texts and lacks ``gone``."""
        end = time.monotonic() + seconds
        while True:
            shown = self.screen()
            if all(text in shown for text in texts) and gone not in shown:
                return shown
            ended = "code 1" in shown and "code 1" not in texts
            assert not ended, f"it ended before {texts}:\n{shown}"
            assert time.monotonic() < end, f"no {texts}, or {gone}, in\n{shown}"
            time.sleep(0.15)

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self.server, "kill-server"], check=False, capture_output=True)
