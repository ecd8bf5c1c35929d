"""Where the tests find the folders of the repository and the data beside it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
EXAMPLE = ROOT / "config.toml.example"
OLD_CONFIG = ROOT / "tests" / "data" / "old_config.toml"
SUPPORT = ROOT / "tests" / "support"
SHARED_DATA = ROOT.parent / "shared" / "data"
KLINES = SHARED_DATA / "klines"
