"""The sinks of a configuration, of the kinds in the registry."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence

from tui_feeder.config import Config
from tui_feeder.configuration.requirements import unmet_requirements
from tui_feeder.engine.sinks import Sink, registry
from tui_feeder.engine.sinks.draining import sink_name, span_text
from tui_feeder.engine.sinks.registry import StoreSinkKind, outbox_kinds
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.outbox_format import Backlog
from tui_feeder.engine.storage.store import Store, StoreError

log = logging.getLogger(__name__)


def configured_sinks(config: Config, store: Store) -> list[Sink]:
    """Makes the enabled sinks; an outbox is opened for each topic that one of them takes.

    Args:
        config: the configuration.
        store: the store, open for writing.

    Returns:
        The sinks, not started.

    Raises:
        SinkError: a package cannot be imported, or a file that is named cannot be used.
    """
    sinks: list[Sink] = []
    for kind in registry.SINKS:
        _refuse(config, kind.section)
    taken = {kind.name: kind.taken(config) for kind in outbox_kinds()}
    for topic in dict.fromkeys(topic for topics in taken.values() for topic in topics):
        kinds = [kind for kind in outbox_kinds() if topic in taken[kind.name]]
        names = [sink_name(kind.name, topic) for kind in kinds]
        outbox = store.open_outbox(names, config.kafka.outbox_max_mb, topic)
        made = (kind.make(config, outbox) for kind in kinds)
        sinks += [sink for sink in made if sink is not None]
    for text in disabled_backlogs(config, store.backlogs()):
        log.warning("%s", text)
    for kind in registry.SINKS:
        if isinstance(kind, StoreSinkKind) and kind.enabled(config):
            sinks.append(kind.make(config, store))
    return sinks


def disabled_backlogs(config: Config, found: Sequence[Backlog]) -> list[str]:
    """Describes what waits for disabled sinks.

    Args:
        config: the configuration.
        found: what waits for each sink.

    Returns:
        One sentence a sink, with the command that drops the messages.
    """
    taken = {(kind.name, topic) for kind in outbox_kinds() for topic in kind.taken(config)}
    return [
        f"{backlog.sink} is disabled: {backlog.messages:,} messages wait for it, "
        f"the oldest {span_text(backlog.age)} old; they are kept, those made meanwhile are not for it. "
        f"To drop them: feeder-tui sinks discard {backlog.kind}"
        for backlog in found
        if (backlog.kind, backlog.topic) not in taken
    ]


async def check_sinks(config: Config) -> dict[str, list[str] | SinkError | None]:
    """Checks where each sink would deliver to.

    Args:
        config: the configuration.

    Returns:
        By kind of sink: lines for people, the error that prevents it, or None for a disabled one.
    """
    found: dict[str, list[str] | SinkError | None] = {}
    for kind in registry.SINKS:
        found[kind.name] = None
        if kind.enabled(config):
            try:
                _refuse(config, kind.section)
                with _stored(config) as store:
                    found[kind.name] = await kind.check(config, store)
            except SinkError as error:
                found[kind.name] = error
    return found


@contextlib.contextmanager
def _stored(config: Config) -> Iterator[Store | None]:
    """The store for reading, where there is one."""
    try:
        store = Store(config.application.storage_path, read_only=True)
    except StoreError:
        yield None
        return
    with contextlib.closing(store):
        yield store


def _refuse(config: Config, section: str) -> None:
    """Raise what a section needs and has not, before its packages are imported."""
    for need in unmet_requirements(config):
        if need.fatal and need.key.startswith(f"{section}."):
            raise SinkError(str(need))
