"""``python -m tui_feeder.simulator``: the embedded exchange as a process of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tui_feeder.simulator.dialect import DIALECTS
from tui_feeder.simulator.fault_random import GAP
from tui_feeder.simulator.serve import Setting, run, run_attached


def main() -> int:
    """Reads the arguments and serves."""
    parser = argparse.ArgumentParser(prog="python -m tui_feeder.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 for any free one")
    parser.add_argument("--market", choices=list(DIALECTS), default="usdm", help="which market it is")
    parser.add_argument("--data", type=Path, help="folder of monthly zips; without it, a synthetic market")
    parser.add_argument("--symbols", help="names separated by commas; all if not given")
    parser.add_argument("--speed", type=float, default=1.0, help="exchange seconds in a real second")
    parser.add_argument("--start-ms", type=int, help="exchange time to start at, ms since the epoch")
    parser.add_argument(
        "--began", type=float, help="when it was that time, by this machine's monotonic clock"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the synthetic market and of random faults")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[:SYMBOL][:DURATION]",
        help="switch a fault on, for a duration such as 90, 5m or 2h of exchange time; repeatable",
    )
    parser.add_argument("--faults", choices=["random"], help="draw faults at random")
    parser.add_argument("--fault-seed", type=int, help="of random faults, if not --seed")
    parser.add_argument(
        "--fault-gap", type=float, default=GAP, help="mean exchange seconds between random faults"
    )
    parser.add_argument("--attached", action="store_true", help="be a child: end when stdin ends")
    given = parser.parse_args()
    symbols = None if given.symbols is None else [s for s in given.symbols.split(",") if s]
    random_faults = None
    if given.faults == "random":
        random_faults = given.seed if given.fault_seed is None else given.fault_seed
    setting = Setting(
        port=given.port,
        data=given.data,
        symbols=symbols,
        speed=given.speed,
        start_ms=given.start_ms,
        seed=given.seed,
        faults=given.fault,
        random_faults=random_faults,
        random_gap=given.fault_gap,
        market=given.market,
        began=given.began,
    )
    try:
        return run_attached(setting) if given.attached else run(**vars(setting))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
