"""The command sinks check against real servers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from preloaded import run_process
from services import Kafka, Postgres


def check(tmp_path: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FEEDER_")}
    return run_process(
        [sys.executable, "-m", "tui_feeder", "sinks", "check", *arguments], 60, text=True, cwd=tmp_path,
        env=environment | {f"FEEDER_{name}": value for name, value in settings.items()},
    )  # fmt: skip


def to_kafka(kafka: Kafka) -> dict[str, str]:
    return {"KAFKA__ENABLED": "true", "KAFKA__BOOTSTRAP_SERVERS": kafka.servers}


def to_postgres(postgres: Postgres, password: str = Postgres.password) -> dict[str, str]:
    return {
        "DATABASE__ENABLED": "true", "DATABASE__HOST": "127.0.0.1", "DATABASE__PORT": str(postgres.port),
        "DATABASE__USERNAME": postgres.user, "DATABASE__PASSWORD": password,
    }  # fmt: skip
