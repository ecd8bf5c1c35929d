"""Measurements: ``python -m benchmarks.NAME [--json] [--check]``. Ratios count where machines differ."""
