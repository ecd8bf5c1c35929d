"""``make demo-cluster``: three workers on a real Kafka and the embedded exchange, on one screen.

The screen is that of the worker ``w1`` and begins with its cluster; ``F`` kills, pauses or stops one of the
other two, or starts them again. Everything ends with the screen, and nothing is left behind.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
from pathlib import Path

from cluster_run import ClusterRun, Reader, wait_until
from services import Kafka as Broker
from services import Unavailable

from tui_feeder.app import FeederApp, UiSettings
from tui_feeder.attach.client import AttachedMonitor
from tui_feeder.demo import DEFAULT_SPEED
from tui_feeder.monitor import FaultOption
from tui_feeder.screens.quit import QuitEffect
from tui_feeder.screens.ui_state import UiState, write_ui_state
from tui_feeder.simulator.launch import launch_blocking

SHOWN, OTHERS = "w1", ("w2", "w3")


class WorkerFaults:
    """Kills, pauses and stops workers; a ``tui_feeder.monitor.Faults``."""

    def __init__(self, run: ClusterRun) -> None:
        self._run = run
        self._paused: set[str] = set()

    def options(self) -> tuple[FaultOption, ...]:
        """What can be done to the workers whose screen this is not."""
        return tuple(
            FaultOption(f"{what} {name}", f"{text} {name}")
            for what, text in (
                ("kill", "kill -9"),
                ("stop", "stop cleanly (SIGTERM)"),
                ("pause", "pause (SIGSTOP)"),
            )
            for name in OTHERS
        )

    def switch_on(self, name: str, symbol: str | None) -> str:
        """See :meth:`tui_feeder.monitor.Faults.switch_on`."""
        what, _, worker_name = name.partition(" ")
        worker = self._run.workers[worker_name]
        if not worker.alive:
            return f"{worker_name} does not run: F h starts it"
        if what == "kill":
            worker.kill()
            return f"{worker_name} is killed: others have its symbols in about 10 s"
        if what == "stop":
            return f"{worker_name} ended with code {worker.stop()}: others have its symbols within 4 s"
        worker.send(signal.SIGSTOP)
        self._paused.add(worker_name)
        return f"{worker_name} is paused: after 6 s the group gives its partitions to others; F h wakes it"

    def heal(self) -> str:
        """Start or wake every worker."""
        for name in OTHERS:
            worker = self._run.workers[name]
            if not worker.alive:
                worker.start()
            elif name in self._paused:
                worker.send(signal.SIGCONT)
        self._paused.clear()
        return "all workers run: each joins again and gets its partitions back"


def main() -> int:
    """Run until the user quits.

    Returns:
        The exit code.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="feeder-demo-cluster-")))
        broker = Broker(folder / "kafka")
        print("starting Kafka, the embedded exchange and three workers ...", flush=True)
        try:
            broker.start()
        except Unavailable as error:
            print(f"make demo-cluster: {error}", file=sys.stderr)
            return 3
        stack.callback(broker.kill)
        exchange = stack.enter_context(launch_blocking(speed=DEFAULT_SPEED))
        (folder / "config.toml").touch()
        run = ClusterRun(broker, exchange, folder, exchange.symbols, Reader(broker.servers, ()))
        stack.callback(run.close)
        socket = folder / "w1.sock"
        for name in (SHOWN, *OTHERS):
            run.worker(name, **({"SERVICE__SOCKET": str(socket)} if name == SHOWN else {})).start()
        wait_until(socket.exists, 60, run.logs)
        wait_until(lambda: run.workers[SHOWN].assignment[1], 60, run.logs)
        monitor = stack.enter_context(contextlib.closing(AttachedMonitor(socket)))
        write_ui_state(folder / "screen.json", UiState(screen="cluster"))
        app = FeederApp(
            monitor, UiSettings(), title="demo", quit_effect=QuitEffect.FORGETS, faults=WorkerFaults(run),
            state_file=folder / "screen.json",
        )  # fmt: skip
        app.run()
        return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
