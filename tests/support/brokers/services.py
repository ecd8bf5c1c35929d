"""A real Apache Kafka and a real PostgreSQL on loopback, for tests, benchmarks and trying things out.

``python tests/support/brokers/services.py kafka|postgres|stop`` starts one that stays, or ends those started.
Its files are in ``.services/`` of the checkout. Kafka needs Java 17 and Maven, which fetches its jars once;
PostgreSQL needs its server programs, and a user that is not root to run them.
"""

from __future__ import annotations

import abc
import argparse
import contextlib
import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from authority import Authority
from ports import free_port

ROOT = Path(__file__).resolve().parents[3]
SCRATCH = ROOT / ".services"
JARS = SCRATCH / "kafka-jars"
_START_SECONDS = 60.0


def scratch() -> Path:
    """The folder for what is started and fetched; git does not see it."""
    SCRATCH.mkdir(exist_ok=True)
    (SCRATCH / ".gitignore").write_text("*\n")
    return SCRATCH


class Unavailable(Exception):
    """This machine lacks what the service needs; the message says what."""


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


class Service(abc.ABC):
    """A server process: started, killed, paused, started again on the same files and port."""

    name = "service"

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def command(self) -> list[str]:
        """The server's command line."""

    @abc.abstractmethod
    def prepare(self) -> None:
        """Make its files, where they are not there yet."""

    def ready(self) -> bool:
        return _listens(self.port)

    def start(self, *, wait: bool = True) -> None:
        """Start the server; with ``wait`` it answers when this returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, start_new_session=True, **self.identity()
            )
        if wait:
            self.wait()

    def identity(self) -> dict[str, Any]:
        return {}

    def wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.ready():
            log = (self.folder / "server.log").read_text(errors="replace")[-2000:]
            assert self.process is not None
            assert self.process.poll() is None, f"{self.name} ended at once:\n{log}"
            assert time.monotonic() < deadline, f"{self.name} does not answer:\n{log}"
            time.sleep(0.1)

    def _signal(self, number: int) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """As a power cut would: SIGKILL to the whole server."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)


class Kafka(Service):
    """One broker in KRaft mode that is its own controller."""

    name = "Apache Kafka"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        more: str = "",
        sasl: tuple[str, str] | None = None,
        announced: str | None = None,
        tls: bool = False,
        relay: int | None = None,
    ) -> None:
        """``more``: lines of settings. ``sasl``: a user and password for a second listener.

        ``relay``: the port of a relay before another listener, whose own port is ``relayed_port``: clients
        that begin there stay there. With ``tls`` there are two more, with certificates: one for anybody, one
        for that user, who is known by PLAIN and both kinds of SCRAM.
        """
        super().__init__(folder, port)
        self._tls = tls
        self._tls_port = free_port()
        self._sasl_tls_port = free_port()
        self.authority: Authority | None = None
        self._controller = free_port()
        self._sasl_port = free_port()
        self.relayed_port = free_port()
        self._relay = relay
        self._more = more
        self._sasl = sasl
        self._announced = announced or self.servers

    @property
    def sasl_servers(self) -> str:
        return f"127.0.0.1:{self._sasl_port}"

    @property
    def tls_servers(self) -> str:
        return f"127.0.0.1:{self._tls_port}"

    @property
    def sasl_tls_servers(self) -> str:
        return f"127.0.0.1:{self._sasl_tls_port}"

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _java(self, main: str, *arguments: str) -> list[str]:
        return [
            "java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{JARS}/*", main, *arguments
        ]  # fmt: skip

    def prepare(self) -> None:
        fetch_jars()
        settings = self.folder / "server.properties"
        if settings.exists():
            return
        listeners = ""
        more: list[str] = []
        users: list[str] = []
        if self._sasl is not None:
            user, password = self._sasl
            listeners += f",SASL_PLAINTEXT://{self.sasl_servers}"
            if self._tls:
                listeners += f",SASL_SSL://{self.sasl_tls_servers}"
            more.append("sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512")
            modules = "org.apache.kafka.common.security"
            for listener in ("sasl_plaintext", "sasl_ssl"):
                above = f"listener.name.{listener}"
                more.append(
                    f"{above}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required "
                    f'user_{user}="{password}";'
                )
                scram = f"sasl.jaas.config={modules}.scram.ScramLoginModule required;"
                more += [f"{above}.scram-sha-{kind}.{scram}" for kind in ("256", "512")]
            for kind in ("256", "512"):
                users += ["--add-scram", f"SCRAM-SHA-{kind}=[name={user},password={password}]"]
        if self._tls:
            self.authority = Authority(self.folder / "tls")
            listeners += f",SSL://{self.tls_servers}"
            more += [
                f"ssl.keystore.location={self.authority.keystore}",
                f"ssl.keystore.password={self.authority.password}",
                f"ssl.key.password={self.authority.password}",
                "ssl.keystore.type=PKCS12",
            ]
        lines = "\n".join(more)
        announced = listeners
        if self._relay is not None:
            listeners += f",RELAYED://127.0.0.1:{self.relayed_port}"
            announced += f",RELAYED://127.0.0.1:{self._relay}"
        settings.write_text(
            f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self._controller}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller}{listeners}
advertised.listeners=PLAINTEXT://{self._announced}{announced}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,\
SSL:SSL,SASL_SSL:SASL_SSL,RELAYED:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={self.folder}/data
num.partitions=3
log.retention.ms=-1
log.roll.ms=4000000000000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
{lines}
{self._more}
"""
        )
        subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk",
                       "-c", str(settings), *users),
            check=True, capture_output=True,
        )  # fmt: skip

    def command(self) -> list[str]:
        return self._java("kafka.Kafka", str(self.folder / "server.properties"))

    def epochs(self, topic: str) -> dict[str, list[tuple[int, int]]]:
        """By partition of a topic, who wrote each batch of the broker's log: id and epoch of the producer."""
        files = sorted((self.folder / "data").glob(f"{topic}-*/*.log"))
        dump = self._java("kafka.tools.DumpLogSegments", "--files", ",".join(map(str, files)))
        found: dict[str, list[tuple[int, int]]] = {}
        for line in subprocess.run(dump, check=True, capture_output=True, text=True).stdout.splitlines():
            if line.startswith("Dumping "):
                batches = found.setdefault(Path(line.partition(" ")[2]).parent.name, [])
            elif (batch := re.search(r"producerId: (\d+) producerEpoch: (\d+)", line)) is not None:
                batches.append((int(batch[1]), int(batch[2])))
        return found


def fetch_jars() -> None:
    """The jars of Kafka, from Maven Central, once."""
    scratch()
    with (SCRATCH / "fetching").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not JARS.exists():
            _fetch_jars()


def _fetch_jars() -> None:
    if shutil.which("java") is None or shutil.which("mvn") is None:
        raise Unavailable("a real Kafka needs java (17 or newer) and mvn")
    fresh = JARS.with_suffix(f".{os.getpid()}")
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(ROOT / "tests/support/brokers/pom.xml"), "dependency:copy-dependencies",
         f"-DoutputDirectory={fresh}"],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        raise Unavailable(f"the jars of Kafka could not be fetched: {done.stdout[-500:]}")
    fresh.rename(JARS)


def _programs() -> Path:
    """Where the server programs of PostgreSQL are."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not debian:
        raise Unavailable("a real PostgreSQL needs its server: apt-get install postgresql")
    return debian[-1].parent


class Postgres(Service):
    """A server with a user ``feeder`` and a database ``crypto_data``; with ``tls`` all connections are so."""

    name = "PostgreSQL"
    user = "feeder"
    password = "right"
    database = "crypto_data"

    def __init__(self, folder: Path, port: int | None = None, *, tls: bool = False) -> None:
        super().__init__(folder, port)
        self._tls = tls
        self.authority: Authority | None = None

    def identity(self) -> dict[str, Any]:
        if os.getuid():
            return {}
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return {"user": entry.pw_uid, "group": entry.pw_gid}
        raise Unavailable("PostgreSQL does not run as root, and there is no other user")

    def prepare(self) -> None:
        data = self.folder / "data"
        if data.exists():
            return
        identity = self.identity()
        if identity:
            for above in [self.folder, *self.folder.parents]:
                if above.stat().st_uid == os.getuid() and not above.stat().st_mode & 0o001:
                    above.chmod(above.stat().st_mode | 0o011)
            os.chown(self.folder, identity["user"], identity["group"])
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        subprocess.run(
            [str(_programs() / "initdb"), "-D", str(data), "-U", self.user, "-A", "scram-sha-256",
             f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, capture_output=True, **identity,
        )  # fmt: skip
        if self._tls:
            self.authority = Authority(self.folder / "tls")
            self.authority.key.chmod(0o600)
            if identity:
                os.chown(self.authority.key, identity["user"], identity["group"])
            with (data / "postgresql.conf").open("a") as settings:
                settings.write(
                    f"ssl = on\nssl_cert_file = '{self.authority.certificate}'\n"
                    f"ssl_key_file = '{self.authority.key}'\n"
                )
            (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")

    def command(self) -> list[str]:
        return [
            str(_programs() / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port),
            "-h", "127.0.0.1", "-k", str(self.folder),
        ]  # fmt: skip

    def start(self, *, wait: bool = True) -> None:
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        super().start(wait=wait)
        if wait:
            self.sql(f"CREATE DATABASE {self.database}", database="postgres", check=False)

    def kill(self) -> None:
        """As a power cut would: also what serves connections, each in a session of its own."""
        serving = self._serving()
        super().kill()
        for pid in serving:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _START_SECONDS
        while any(map(_lives, serving)) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _serving(self) -> list[int]:
        if self.process is None:
            return []
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()] if children.exists() else []

    def ready(self) -> bool:
        return super().ready() and self.sql("SELECT 1", database="postgres", check=False) == "1"

    def sql(self, text: str, *, database: str | None = None, check: bool = True) -> str:
        """Run a statement with psql; what it prints."""
        done = subprocess.run(
            [str(_programs() / "psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", self.user,
             "-d", database or self.database, "-Atqc", text],
            capture_output=True, text=True, env=os.environ | {"PGPASSWORD": self.password},
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()


class Bouncer(Service):
    """pgbouncer before a :class:`Postgres`, with its default settings but for the kind of pooling."""

    name = "pgbouncer"

    def __init__(self, folder: Path, server: Postgres, pool_mode: str = "transaction") -> None:
        super().__init__(folder)
        self._server = server
        self._pool_mode = pool_mode

    def identity(self) -> dict[str, Any]:
        return self._server.identity()

    def prepare(self) -> None:
        settings, users = self.folder / "pgbouncer.ini", self.folder / "users"
        users.write_text(f'"{Postgres.user}" "{Postgres.password}"\n')
        settings.write_text(
            f"[databases]\n{Postgres.database} = host=127.0.0.1 port={self._server.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nauth_type = scram-sha-256\n"
            f"auth_file = {users}\npool_mode = {self._pool_mode}\ndefault_pool_size = 3\nunix_socket_dir =\n"
        )

    def command(self) -> list[str]:
        program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        if not Path(program).exists():
            raise Unavailable("a pooler needs pgbouncer: apt-get install pgbouncer")
        return [program, str(self.folder / "pgbouncer.ini")]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Real servers on loopback, for trying sinks by hand.")
    parser.add_argument("asked", choices=["kafka", "postgres", "stop"], help="which to start, or end all")
    asked = parser.parse_args(arguments).asked
    if asked == "stop":
        for note in SCRATCH.glob("*/running"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.killpg(int(note.read_text()), signal.SIGTERM)
                print(f"{note.parent.name} is ending")
            note.unlink()
        return
    folder = scratch() / asked
    service = Kafka(folder, 9092) if asked == "kafka" else Postgres(folder, 5432)
    if service.ready():
        print(f"something listens on 127.0.0.1:{service.port} already")
        return
    service.start()
    assert service.process is not None
    (service.folder / "running").write_text(str(service.process.pid))
    more = f", user {service.user}, password {service.password}" if isinstance(service, Postgres) else ""
    print(f"{service.name} listens on 127.0.0.1:{service.port}{more}; make stop-services ends it")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Unavailable as error:
        sys.exit(str(error))
