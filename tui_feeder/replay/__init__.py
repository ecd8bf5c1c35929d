"""Stored candles on the screen: the same pipelines and screens, at a moment that can stand, go and jump."""
