"""What compose.yaml sets, on this machine: its Kafka and its feeder on other ports, without containers."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from commanding import environment
from feed import NOON, exchange_at
from mirrored import connected
from places import ROOT
from ports import free_port
from services import Kafka, Postgres, Service, fetch_jars
from sinking import read_records
from starting import running

from tui_feeder.simulator.exchange import Exchange

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


class ComposedKafka(Kafka):
    """A broker with the settings of the container: the image makes them of its variables."""

    def prepare(self) -> None:
        """Write the settings as the image does, and format the folder."""
        fetch_jars()
        controller = free_port()
        lines = []
        for name, value in SERVICES["kafka"]["environment"].items():
            here = value.replace("/var/lib/kafka/data", str(self.folder / "data"))
            here = re.sub(r"(?:kafka)?:9092", f"127.0.0.1:{self.port}", here)
            here = re.sub(r"(?:kafka)?:9093", f"127.0.0.1:{controller}", here)
            lines.append(f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={here}\n")
        settings = self.folder / "server.properties"
        settings.write_text("".join(lines))
        formatted = self._java(
            "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", str(settings)
        )
        subprocess.run(formatted, check=True, capture_output=True)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Service]:
    """The Kafka of compose.yaml."""
    yield from running(ComposedKafka(tmp_path / "kafka"))


def variables(kafka: Service, postgres: Postgres, exchange: Exchange, folder: Path) -> dict[str, str]:
    """The feeder's variables of image and file, with the addresses and folders of this machine."""
    image = dict(re.findall(r"\b(FEEDER_\w+)=(\S+)", (ROOT / "Containerfile").read_text()))
    stated = image | SERVICES["feeder"]["environment"]
    here = {
        "FEEDER_APPLICATION__SYMBOLS": "BTCUSDT,ETHUSDT",
        "FEEDER_APPLICATION__STORAGE_PATH": str(folder / "candles"),
        "FEEDER_APPLICATION__HEALTH_SERVER_PORT": str(free_port()),
        "FEEDER_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka.port}",
        "FEEDER_DATABASE__HOST": "127.0.0.1",
        "FEEDER_DATABASE__PASSWORD": postgres.password,
    }
    assert here.keys() <= stated.keys()
    return environment(exchange) | stated | here | {
        "FEEDER_DATABASE__PORT": str(postgres.port),
        "FEEDER_SERVICE__SOCKET": str(folder / "feeder.sock"),
        "FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "1",
    }  # fmt: skip


@pytest.mark.timeout(240)
async def test_the_feeder_of_compose_reaches_its_kafka_and_its_postgres(
    broker: Service, postgres: Postgres, tmp_path: Path
) -> None:
    async with exchange_at(NOON, ["BTCUSDT", "ETHUSDT"]) as exchange:
        own = variables(broker, postgres, exchange, tmp_path)
        with (tmp_path / "feeder.log").open("wb") as log:
            feeder = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tui_feeder", "--no-ui", env=own, cwd=tmp_path, stdout=log, stderr=log
            )
        try:
            servers, records = f"127.0.0.1:{broker.port}", []
            for _ in range(20):  # the feeder makes the topic, and a reader keeps to the partitions it found
                records = await asyncio.to_thread(read_records, servers, "ta_data", 2, 6)
                if len(records) >= 2:
                    break
            assert len(records) >= 2, (tmp_path / "feeder.log").read_text()[-3000:]
            port = own["FEEDER_APPLICATION__HEALTH_SERVER_PORT"]
            async with aiohttp.ClientSession() as session:
                scraped = {"Host": f"feeder:{port}"}  # as Prometheus asks
                async with session.get(f"http://127.0.0.1:{port}/metrics", headers=scraped) as answer:
                    assert answer.status == 200
                    assert "feeder_uptime_seconds" in await answer.text()
            mirror = await connected(postgres)
            found = 0
            for _ in range(600):
                made = await mirror.fetchval("select to_regclass('candles_1m') is not null")
                found = await mirror.fetchval("select count(*) from candles_1m") if made else 0
                if found:
                    break
                await asyncio.sleep(0.1)
            assert found
            await mirror.close()
        finally:
            feeder.send_signal(signal.SIGTERM)
            assert await feeder.wait() == 0, (tmp_path / "feeder.log").read_text()[-3000:]
