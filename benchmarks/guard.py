"""Whether a ratio has fallen: ``python -m benchmarks.guard [NAME ...]``, or ``make bench-check``.

``benchmarks/baseline.json`` has, by benchmark, the ratios that count, each of two figures of the same run, so
that a slower or busier machine changes little. One that is more than a fifth worse is measured once more and
then reported; the exit code is 1. ``--accept`` writes what was measured as the new baseline.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.table import Results, run

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE = 0.2

#: By benchmark and figure: its value, and whether more of it is better.
Baseline = dict[str, dict[str, dict[str, float | bool]]]


@dataclass(frozen=True)
class Fall:
    """A ratio that is worse than it was; ``now`` is None where it is not measured any more."""

    benchmark: str
    figure: str
    then: float
    now: float | None

    def __str__(self) -> str:
        now = "is no longer measured" if self.now is None else f"is {self.now:.3g}"
        return f"{self.benchmark}: {self.figure} {now}, was {self.then:.3g}"


def falls(baseline: Baseline, results: Results) -> list[Fall]:
    """Compare what was measured with the baseline.

    Args:
        baseline: what it was.
        results: of the benchmarks that ran; others are not looked at.

    Returns:
        The ratios that are worse by more than the tolerance, and those that are missing.
    """
    found: list[Fall] = []
    for name, result in results.items():
        for figure, held in baseline.get(name, {}).items():
            then, now = float(held["value"]), result["figures"].get(figure, {}).get("value")
            share = (
                None
                if now is None
                else (now / then if held["more_is_better"] else then / now if now else 2.0)
            )
            if share is None or share < 1 - TOLERANCE:
                found.append(Fall(name, figure, then, now))
    return found


def accepted(baseline: Baseline, results: Results) -> Baseline:
    """The baseline with the values just measured; of benchmarks that did not run it stays.

    Args:
        baseline: what it was; its figures are those that count.
        results: what was measured.

    Returns:
        The new baseline.
    """
    return {
        name: {
            figure: held
            | {"value": round(results.get(name, {"figures": {}})["figures"].get(figure, held)["value"], 4)}
            for figure, held in figures.items()
        }
        for name, figures in baseline.items()
    }


def main() -> None:
    """Measure and compare."""
    baseline: Baseline = json.loads(BASELINE.read_text())
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="benchmarks to run (default: all with ratios)"
    )
    parser.add_argument("--accept", action="store_true", help="what is measured is the new baseline")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - baseline.keys()):
        parser.error(f"no ratio of {unknown[0]} in {BASELINE.name}: there are {', '.join(baseline)}")
    results, failed = run(options.names or list(baseline))
    if options.accept:
        BASELINE.write_text(json.dumps(accepted(baseline, results), indent=1) + "\n")
        return
    found = falls(baseline, results)
    if found:  # a busy moment of the machine is no regression
        again, _ = run(sorted({fall.benchmark for fall in found}))
        before = {(fall.benchmark, fall.figure) for fall in found}
        found = [fall for fall in falls(baseline, again) if (fall.benchmark, fall.figure) in before]
    for fall in found:
        print(fall)
    for name, why in failed.items():
        print(f"not compared: {name}, {why}")
    compared = sum(len(baseline[name]) for name in results)
    print(f"{compared} ratios compared, {len(found)} fell by more than a fifth")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
