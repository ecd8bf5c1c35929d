"""``feeder-tui sinks check`` against real servers, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from services import Kafka, Postgres
from sinks_check import check, to_kafka, to_postgres


def test_it_tells_what_is_there_and_changes_nothing(kafka: Kafka, postgres: Postgres, tmp_path: Path) -> None:
    for _ in range(2):  # the second time nothing is there either
        done = check(tmp_path, **to_kafka(kafka), **to_postgres(postgres))
        assert done.returncode == 0, done.stderr
        assert f"brokers: 127.0.0.1:{kafka.port}" in done.stdout
        assert "topic ta_data: not there, would be created" in done.stdout
        assert "server: PostgreSQL 1" in done.stdout
        assert "would create candles_1m, volume_profiles, feeder_mirror, feeder_migrations" in done.stdout
    assert postgres.sql("SELECT to_regclass('candles_1m') IS NULL") == "t"


def test_what_does_not_work_is_told_and_is_the_exit_code(postgres: Postgres, tmp_path: Path) -> None:
    kafka = {"KAFKA__ENABLED": "true", "KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = check(tmp_path, "--json", **kafka, **to_postgres(postgres, "hush-hush"))
    assert done.returncode == 4
    told = json.loads(done.stdout)
    reason = "127.0.0.1:1: connection refused: start the broker, or correct kafka.bootstrap_servers"
    assert told["kafka"] == {"state": "failed", "lines": [reason]}
    assert "refuses database.username feeder" in told["postgres"]["lines"][0]
    assert "hush" not in done.stdout + done.stderr


def test_sinks_that_are_off_are_no_failure(tmp_path: Path) -> None:
    done = check(tmp_path)
    assert done.returncode == 0
    assert done.stdout.split() == ["kafka", "off", "postgres", "off", "file", "off"]


def test_every_topic_and_the_folder_of_the_files_are_looked_at(kafka: Kafka, tmp_path: Path) -> None:
    done = check(tmp_path, **to_kafka(kafka), KAFKA__CANDLES_TOPIC="true", FILE__ENABLED="true")
    assert done.returncode == 0, done.stdout
    assert "topic ta_candles: not there, would be created" in done.stdout
    assert "folder: messages, would be created" in done.stdout
    assert not (tmp_path / "messages").exists()
