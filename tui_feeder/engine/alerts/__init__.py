"""Alerts: pure rules (:mod:`.rules`, :mod:`.rule_checks`), their manager, its stored state, its outputs."""
