"""Alerts: pure rules (:mod:`.rules`, :mod:`.watches`), the desk that keeps what they find, its outputs."""
