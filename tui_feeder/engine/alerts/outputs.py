"""Who is called for an alert: a web address, a program, a Kafka topic."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future

import aiohttp

from tui_feeder.config import Alerts, Config
from tui_feeder.engine.alerts.manager import TOPIC, Output
from tui_feeder.engine.alerts.rules import Alert
from tui_feeder.engine.core.event_names import event_name
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.proxy import Proxies, failures, session
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat, wait_for_work
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import StorageError

#: Alerts that wait for a receiver; beyond it the oldest are let go, and counted.
_WAITING = 100
#: As many of them as wait for the store, and again as many that it has taken but not committed.
_TOPIC_WAITING = 1_000
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
#: Programs that run at the same time.
_PROGRAMS = 2
_END_SECONDS = 1.0
#: An alert that is being handed over for so long is reported: its receiver may hang, seconds.
_SLOW_SECONDS = 3.0


class _Waiting:
    """A bounded queue: what comes last matters most, so the oldest goes first."""

    def __init__(self, name: str, journal: Journal, most: int = _WAITING) -> None:
        self.failure = ""  # why the last try failed; "" once one has not
        self._begun: list[float] = []  # time.monotonic() of those that are being handed over
        self._name = name
        self._most = most
        self._journal = journal
        self._alerts: deque[tuple[Alert, bytes]] = deque()
        self._under_way = 0
        self._some = asyncio.Event()

    def __len__(self) -> int:
        """Those that wait, and those that are being handed over."""
        return len(self._alerts) + self._under_way

    def put(self, alert: Alert, payload: bytes) -> None:
        self._alerts.append((alert, payload))
        if len(self._alerts) > self._most:
            self._alerts.popleft()
            self._journal.fault(event_name("alert", self._name, "queue full"), "the oldest alert was let go")
        self._some.set()

    @contextlib.asynccontextmanager
    async def next(self, most: int = 1) -> AsyncIterator[list[tuple[Alert, bytes]]]:
        """The next ones, ``most`` of them; they count as handed over at the end."""
        while not self._alerts:
            self._some.clear()
            wait_for_work()
            await self._some.wait()
        taken = [self._alerts.popleft() for _ in range(min(most, len(self._alerts)))]
        self._under_way += len(taken)
        self._begun.append(begun := time.monotonic())
        try:
            yield taken
        except asyncio.CancelledError:  # it took too long: once more
            self._alerts.extendleft(reversed(taken))
            raise
        finally:
            self._begun.remove(begun)
            self._under_way -= len(taken)

    def trouble(self) -> str:
        """What is wrong with the receiver; "" where nothing is known to be."""
        hanging = time.monotonic() - min(self._begun) if self._begun else 0.0
        if hanging >= _SLOW_SECONDS:
            why = f" ({self.failure})" if self.failure else ""
            return f"an alert is not handed over for {hanging:.0f} s{why}, {len(self)} wait"
        return self.failure and f"the last alert was not handed over: {self.failure}"


class _Queued:
    """A receiver that alerts wait for."""

    name: str

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting = _Waiting(self.name, journal)

    @property
    def waiting(self) -> int:
        """Alerts that are not handed over."""
        return len(self._waiting)

    @property
    def trouble(self) -> str:
        """What is wrong with the receiver; "" where nothing is known to be."""
        return self._waiting.trouble()

    def send(self, alert: Alert, payload: bytes) -> None:
        """Queues an alert.

        Args:
            alert: the alert.
            payload: its JSON object.
        """
        self._waiting.put(alert, payload)


class Webhook(_Queued):
    """Posts each alert as JSON, one after the other. TLS is verified, redirects are not followed.

    Args:
        url: never reported to anyone: it often holds a secret. A proxy of the environment leads to it.

    Raises:
        ProxyError: the proxy cannot be used.
    """

    name = "webhook"

    def __init__(self, url: str, settings: Alerts, journal: Journal) -> None:
        self._url = url
        self._proxy = Proxies().of(url)
        self._tries = 1 + settings.webhook_retries
        self._timeout = aiohttp.ClientTimeout(total=settings.webhook_timeout_seconds)
        super().__init__(journal)

    async def run(self) -> None:
        """Post what waits, until cancelled."""
        async with session(self._proxy, self._timeout) as client:
            while True:
                async with self._waiting.next() as [(_, payload)]:
                    await self._deliver(client, payload)

    async def _deliver(self, client: aiohttp.ClientSession, payload: bytes) -> None:
        pause = _FIRST_PAUSE_SECONDS
        for attempt in range(1, self._tries + 1):
            heartbeat(self._timeout.total or 0.0)
            trouble, again = await self._post(client, payload)
            self._waiting.failure = trouble
            if not trouble:
                self._journal.count("alert_webhook_sent")
                return
            if not again or attempt == self._tries:
                self._journal.fault("alert_webhook_failed", f"{trouble}, tried {attempt} times")
                return
            heartbeat(pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _post(self, client: aiohttp.ClientSession, payload: bytes) -> tuple[str, bool]:
        """One try: what went wrong, "" if nothing, and whether another try may help."""
        headers = {"Content-Type": "application/json"}
        try:
            async with client.post(self._url, data=payload, headers=headers, allow_redirects=False) as answer:
                if 200 <= answer.status < 300:
                    return "", False
                return f"the receiver answers {answer.status}", answer.status in (408, 429) or (
                    answer.status >= 500
                )
        except TimeoutError:
            return f"no answer within {self._timeout.total:g} s", True
        except aiohttp.ClientConnectorCertificateError:
            return "the receiver's certificate cannot be trusted", False
        except failures() as error:
            way = "" if self._proxy is None else f" through the proxy {self._proxy}"
            return f"the receiver cannot be reached{way} ({type(error).__name__})", True


class Program(_Queued):
    """Runs a program for each alert, without a shell: ``{text}`` in an argument is the alert, stdin its JSON.

    The variables of the feeder's own configuration, which may hold secrets, are kept from it.
    """

    name = "command"

    def __init__(self, command: Sequence[str], timeout: float, journal: Journal) -> None:
        self._command = tuple(command)
        self._timeout = timeout
        super().__init__(journal)

    async def run(self) -> None:
        """Run what waits, a few at a time, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_PROGRAMS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            async with self._waiting.next() as [(alert, payload)]:
                heartbeat(self._timeout)
                await self._execute([part.replace("{text}", alert.text) for part in self._command], payload)

    async def _execute(self, command: list[str], payload: bytes) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FEEDER_")}
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._failed(f"{command[0]} cannot be run: {error}")
            return
        try:
            async with asyncio.timeout(self._timeout):  # wait_for of Python 3.11 can lose a cancellation
                await process.communicate(payload)
        except TimeoutError:
            self._failed(f"{command[0]} took more than {self._timeout:g} s")
            return
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_END_SECONDS):
                        await process.wait()
        if process.returncode:
            self._failed(f"{command[0]} ended with {process.returncode}")
        else:
            self._waiting.failure = ""
            self._journal.count("alert_command_run")

    def _failed(self, text: str) -> None:
        self._waiting.failure = text
        self._journal.fault("alert_command_failed", text)


class Topic:
    """The topic ``alerts``: each alert waits in the store's outbox until the sinks that take it have it.

    Args:
        post: of the store: topic, key, timestamp in ms, JSON object. Its futures wait while the disk is full.
        paused: whether they do.
    """

    name = TOPIC

    def __init__(
        self,
        post: Callable[[str, str, int, bytes], Future[bool]],
        journal: Journal,
        paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._post = post
        self._journal = journal
        self._paused = paused
        self._waiting = _Waiting(self.name, journal, _TOPIC_WAITING)
        self._posted: set[asyncio.Future[bool]] = set()

    @property
    def waiting(self) -> int:
        """Alerts that are not in the outbox."""
        return len(self._waiting) + len(self._posted)

    @property
    def trouble(self) -> str:
        """What is wrong with the outbox; "" where nothing is known to be."""
        return self._waiting.trouble()

    def send(self, alert: Alert, payload: bytes) -> None:
        """Gives an alert to the outbox at once, so that a kill finds as few as may be here; queues it else.

        Args:
            alert: the alert.
            payload: its JSON object.
        """
        if self._paused() or self._waiting or len(self._posted) >= _TOPIC_WAITING:
            self._waiting.put(alert, payload)
            return
        try:
            posted = asyncio.wrap_future(self._post("alerts", alert.symbol, alert.at, payload))
        except StorageError as error:  # the store is closed
            self._journal.fault("alert_topic_failed", str(error))
            return
        self._posted.add(posted)
        posted.add_done_callback(self._taken)

    def _taken(self, posted: asyncio.Future[bool]) -> None:
        self._posted.discard(posted)
        if posted.cancelled():
            return
        error = posted.exception()
        if error is not None:
            self._journal.fault("alert_topic_failed", repr(error))
        else:
            self._count(taken=posted.result())

    def _count(self, *, taken: bool) -> None:
        if taken:
            self._journal.count("alert_topic_queued")
        else:
            self._journal.fault("alert_topic_failed", "no sink takes the topic of alerts")

    async def run(self) -> None:
        """Write what was queued into the outbox, all of it at once, until cancelled."""
        while True:
            async with self._waiting.next(_TOPIC_WAITING) as alerts:
                heartbeat(works=OUTSIDE_SECONDS, unless=self._paused)
                posted = [
                    asyncio.wrap_future(self._post("alerts", alert.symbol, alert.at, payload))
                    for alert, payload in alerts
                ]
                for taken in await asyncio.gather(*posted):
                    self._count(taken=taken)


def configured_outputs(config: Config, store: Store, journal: Journal) -> list[Output]:
    """Makes the configured outputs.

    Args:
        config: the configuration.
        store: the store.
        journal: receives counters and events.

    Returns:
        The outputs.
    """
    settings = config.alerts
    outputs: list[Output] = []
    if settings.webhook_url is not None:
        outputs.append(Webhook(settings.webhook_url.reveal(), settings, journal))
    if settings.command:
        outputs.append(Program(settings.command, settings.command_timeout_seconds, journal))
    if "alerts" in store.outboxes:  # a sink takes that topic
        outputs.append(Topic(store.send, journal, store.paused))
    return outputs
