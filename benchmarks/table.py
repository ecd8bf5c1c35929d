"""Every benchmark, one table: ``python -m benchmarks.table [NAME ...] [--json] [--keep]``, or ``make bench``.

Each runs as a process of its own, one after the other; one that lacks something (exit code 2) is left out and
named. ``--keep`` puts the figures into ``benchmarks/results.json``, of which ``python docs/performance.py``
makes ``docs/performance.md``; figures of benchmarks that did not run stay there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
_LACKS = 2

#: By benchmark: when and on what it ran, its command, and its figures by name.
Results = dict[str, dict[str, Any]]


def benchmarks() -> list[str]:
    """The names of all that measure figures; soak, judge and others are trials with outcomes of their own."""
    reports = re.compile(r"^from benchmarks\._report import .*\b(report|show)\b", re.MULTILINE)
    paths = sorted(Path(__file__).parent.glob("*.py"))
    return [path.stem for path in paths if path.stem[0] != "_" and reports.search(path.read_text())]


def run(names: Iterable[str]) -> tuple[Results, dict[str, str]]:
    """Run benchmarks.

    Args:
        names: of modules in this package.

    Returns:
        What they measured, and of those that could not, the last line of what they said.
    """
    results: Results = {}
    failed: dict[str, str] = {}
    for name in names:
        words = ["-m", f"benchmarks.{name}", "--json"]
        print(f"{time.strftime('%H:%M:%S')} python {' '.join(words)}", file=sys.stderr)
        done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            failed[name] = (
                "it lacks something" if done.returncode == _LACKS else f"it ended with {done.returncode}"
            )
            continue
        results[name] = {
            "command": f"python -m benchmarks.{name}",
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": machine(),
            "load": round(os.getloadavg()[0], 1),
            "figures": json.loads(done.stdout),
        }
    return results, failed


def keep(results: Results) -> None:
    """Put figures into the file of results, in the place of earlier ones of the same benchmarks.

    Args:
        results: what was measured.
    """
    held: Results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(dict(sorted((held | results).items())), indent=1) + "\n")


def machine() -> str:
    """What this machine is: its processor, how many there are, and the Python."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{len(os.sched_getaffinity(0))} x {model}, Python {platform.python_version()}"


def show(results: Results) -> None:
    """Print one table of all figures."""
    for result in results.values():
        print(f"\n{result['command']}   ({result['machine']}; load {result['load']})")
        for figure, found in result["figures"].items():
            bound = " ".join(f"{word} {found[key]:,g}" for key, word in _BOUNDS if found.get(key) is not None)
            missed = "" if found["good"] else "MISSED"
            print(
                f"  {figure:<56} {found['value']:>16,.3f} {found['unit']:<14} {bound:<20} {missed}".rstrip()
            )


_BOUNDS = (("at_least", "at least"), ("at_most", "at most"))


def main() -> None:
    """Run what the command line names, or everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table")
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--keep", action="store_true", help="put the figures into benchmarks/results.json")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(benchmarks())):
        parser.error(f"no benchmark {unknown[0]}: there are {', '.join(benchmarks())}")
    results: Results = {}
    failed: dict[str, str] = {}
    for name in options.names or benchmarks():
        found, lacking = run([name])
        results |= found
        failed |= lacking
        if options.keep:
            keep(found)
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        show(results)
    for name, why in failed.items():
        print(f"left out: {name}, {why}", file=sys.stderr)
    sys.exit(bool(failed.keys() & set(options.names)))


if __name__ == "__main__":
    main()
