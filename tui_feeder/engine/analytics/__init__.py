"""Bars, indicators, trends, messages: pure, without I/O and without a clock."""
