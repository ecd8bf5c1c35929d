"""Signed days: what a day's minutes were, where they came from, and how anybody can recompute it."""
