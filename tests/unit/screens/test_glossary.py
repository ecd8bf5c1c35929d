"""What is abbreviated on a screen is explained in its help, with the unit."""

from __future__ import annotations

import re

import pytest
from examples import some_of
from fake_monitor import FakeMonitor, clustered, with_troubles
from screens import app_of, settled

from tui_feeder.screens.glossary import glossary

SCREENS = {
    "1": "overview", "2": "chart", "3": "profile", "4": "gaps", "5": "sources", "6": "log", "7": "cluster",
    "8": "footprint",
    "0": "map",
}  # fmt: skip
#: Capitals, a percent sign or a number in it, a unit; and the small letters that are used as abbreviations.
ABBREVIATION = re.compile(
    r"\b(?:[A-Z][A-Z0-9]+%?|[a-z]\d+|\d+[mh]%|[kMG]B|ms)(?!\w)"
    r"|\b(?:ws|lmdb|rest|sym|kfk|pg|vol|min|eta|hi|lo|bp|dev)\b"
)
#: Words in capitals that are no abbreviations, and what stands for itself.
PLAIN = {"SYMBOL", "NAME", "STATE", "COVERAGE", "FROM", "TO", "UTC", "WORKER", "ADDRESS", "PARTITION",
         "PARTITIONS", "TRANSACTIONS", "AT", "TAKEN", "OVER", "DEGRADED", "URL"}  # fmt: skip


@pytest.mark.parametrize("size", some_of(((200, 60), (80, 24), (45, 20)), every=2))
async def test_every_abbreviation_on_a_screen_is_a_term_of_its_help(size: tuple[int, int]) -> None:
    monitor = clustered(with_troubles(FakeMonitor(12)))
    app = app_of(monitor)
    names = {part for name in monitor.views for part in re.findall(r"[A-Z0-9]+", name.removesuffix("USDT"))}
    names |= set(monitor.views)
    lacking: dict[str, set[str]] = {}
    async with app.run_test(size=size) as pilot:
        for key, screen in SCREENS.items():
            await pilot.press(key)
            lines = await settled(pilot)
            assert app.current_mode == screen
            terms = glossary(screen, app.palette.glyphs, app.snapshot.indicators)
            known = {word for term, _ in terms for word in ABBREVIATION.findall(term)}
            found = {word for line in lines[:-1] for word in ABBREVIATION.findall(line)}
            lacking[screen] = found - known - names - PLAIN
    assert not any(lacking.values()), lacking


@pytest.mark.parametrize("screen", SCREENS.values())
def test_no_term_is_explained_twice_in_the_help_of_a_screen(screen: str) -> None:
    app = app_of(FakeMonitor(2))
    terms = [term for term, _ in glossary(screen, app.palette.glyphs, app.snapshot.indicators)]
    assert sorted(set(terms)) == sorted(terms)
