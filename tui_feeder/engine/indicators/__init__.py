"""Indicators over completed bars: pure, each with its live and its batch form side by side."""
