"""Options of the suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="how long each input is fuzzed in test_fuzz",
    )
