"""Names of counted events: snake case, all in docs/metrics.md; and what they were called before."""

from __future__ import annotations

import re

#: Events by the name they had until the last release: the metrics have both for one more.
_PREVIOUS = {
    "alert_command_failed": "alert command failed",
    "alert_command_run": "alert command run",
    "alert_rules_failed": "alert rules failed",
    "alert_topic_failed": "alert topic failed",
    "alert_topic_queued": "alert topic queued",
    "alert_webhook_failed": "alert webhook failed",
    "alert_webhook_sent": "alert webhook sent",
    "alerts_held_back": "alerts held back",
    "alerts_undelivered": "alerts not handed over",
    "archive_bytes": "archive bytes",
    "archive_defects": "archive defects",
    "archive_files": "archive files",
    "archive_files_missing": "archive files missing",
    "archive_files_refused": "archive files refused",
    "archive_files_replaced": "archive files replaced",
    "checkpoints_resumed": "numbers resumed",
    "clock_measurements_failed": "clock not measured",
    "contradictory_closes": "contradictory closes",
    "damaged_days": "damaged days",
    "duplicate_candles": "duplicate candles",
    "ema_seeds_read": "EMA seeds read",
    "exchange_clock_steps": "exchange clock steps",
    "exchange_clocks_disagree": "exchange clocks disagree",
    "gaps_filled": "gaps filled",
    "impossible_frames": "impossible frames",
    "incomplete_listings": "listings that lack symbols",
    "late_minutes": "late minutes",
    "listings_failed": "listings not read",
    "local_clock_steps": "local clock steps",
    "minutes_closed_by_rest": "minutes closed by REST",
    "minutes_corrected_by_rest": "minutes corrected by REST",
    "minutes_none_at_exchange": "minutes none at the exchange",
    "minutes_recovered": "minutes recovered",
    "minutes_skipped": "minutes gone on without",
    "minutes_superseded": "minutes superseded",
    "outage_minutes": "outage minutes",
    "part_crashes": "part crashes",
    "parts_stalled": "parts stalled",
    "past_alerts_not_sent": "alerts about the past not sent",
    "pending_candles_dropped": "held candles let go",
    "pipeline_crashes": "pipeline crashes",
    "pipelines_loaded_from_candles": "numbers made from all candles",
    "pipelines_rebuilt": "pipelines rebuilt",
    "postgres_candles": "postgres candles",
    "postgres_differences": "postgres differences",
    "postgres_rows_refused": "postgres rows refused",
    "profile_days_built": "profile days built",
    "quarantined_candles": "quarantined candles",
    "rest_requests": "REST requests",
    "snapshots_failed": "snapshots not built",
    "source_conflicts": "source conflicts",
    "stream_unexpected_candle": "stream: not ours",
    "unusable_listings": "odd listings",
    "unusable_records": "odd records",
    "unusable_rest_rows": "odd REST rows",
    "weight_waits": "weight waits",
}
#: Names of which a part varies, and what they were called before.
_PREVIOUS_PATTERNS = (
    (re.compile(r"rest_(\w+)"), "REST {}"),
    (re.compile(r"stream_(\w+)"), "stream: {}"),
    (re.compile(r"alert_(\w+)_queue_full"), "alert {} queue full"),
    (re.compile(r"kafka_messages()"), "Kafka messages"),
    (re.compile(r"kafka_(candles|alerts)_messages"), "Kafka {}"),
    (re.compile(r"(\w+)_messages_dropped"), "{} messages dropped"),
    (re.compile(r"(\w+)_refused_messages"), "{} refused a message"),
    (re.compile(r"((?:kafka|file|postgres)\w*)_failures"), "{} failures"),
    (re.compile(r"(file\w*)_messages"), "{} messages"),
    (re.compile(r"(file\w*)_rotations"), "{} rotations"),
    (re.compile(r"(file\w*)_files_deleted"), "{} files deleted"),
)


def event_name(*words: str) -> str:
    """Makes the name of an event of which a part varies.

    Args:
        words: such as the name of a sink, and what happened to it.

    Returns:
        All of them in snake case: ``file_candles_rotations`` of ``file candles`` and ``rotations``.
    """
    return re.sub(r"[^a-z0-9]+", "_", " ".join(words).lower()).strip("_")


def event_text(name: str) -> str:
    """Writes the name of an event for a line of the log.

    Args:
        name: in snake case.

    Returns:
        Words: ``REST empty answer`` of ``rest_empty_answer``.
    """
    words = name.replace("_", " ")
    return f"REST{words[4:]}" if words.startswith("rest ") else words


def previous_event_name(name: str) -> str | None:
    """Finds what an event was called until the last release.

    Args:
        name: its name now.

    Returns:
        The name before; None where it is the same, or the event is newer.
    """
    if name in _PREVIOUS:
        return _PREVIOUS[name]
    for pattern, previous in _PREVIOUS_PATTERNS:
        if found := pattern.fullmatch(name):
            return previous.format(found[1].replace("_", " "))
    return None
