"""The one thread that writes: all jobs that wait go into one transaction.

A transaction costs the disk one sync whether it holds one candle or six hundred. A job that fails
is left out and the others are committed without it; a full disk makes everything wait, nothing
fail; a full map grows.
"""

from __future__ import annotations

import errno
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import lmdb

from tui_feeder.engine.storage.environment import Environment
from tui_feeder.engine.storage.lock import StoreError

log = logging.getLogger(__name__)

_MOST_JOBS = 4096
_RETRY_SECONDS = 1.0
#: What a disk without room answers. LMDB reports a write cut short by a full disk as an I/O error.
_NO_ROOM = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO))

View = TypeVar("View")
_Waiting = tuple[Callable[[View], Any], "Future[Any]"]


class GroupCommit(Generic[View]):
    """Runs jobs on its own thread, as many as wait in one transaction.

    Args:
        environment: where they write.
        view: makes what a job is given from the transaction; a fresh one for each transaction.
        committed: called after a commit with its view, before any job's future is done.
    """

    def __init__(
        self,
        environment: Environment,
        view: Callable[[lmdb.Transaction], View],
        committed: Callable[[View], None],
    ) -> None:
        self.pausing: str | None = None  # why writes wait, when they do
        self.paused_at = 0.0  # time.monotonic() when they began to
        self.transactions = 0
        self._environment = environment
        self._view = view
        self._committed = committed
        self._jobs: queue.SimpleQueue[_Waiting[View] | None] = queue.SimpleQueue()
        self._submitting = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[View], Any]) -> Future[Any]:
        """Run ``job`` in the next transaction. Its future is done once that is committed.

        A future cancelled before its job began takes the job with it; later it can't be cancelled.

        Args:
            job: called with the transaction, on the writer's thread.

        Returns:
            The job's result once it is committed.

        Raises:
            StoreError: the writer has been closed.
        """
        future: Future[Any] = Future()
        with self._submitting:  # nothing may queue up behind the end
            if self._ending.is_set():
                raise StoreError(f"the store {self._environment.path} is closed")
            self._jobs.put((job, future))
        return future

    def close(self) -> None:
        """Commit what waits, end the thread. On a full disk what waits fails instead."""
        with self._submitting:
            if not self._ending.is_set():
                self._ending.set()
                self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            batch = [self._jobs.get()]
            while batch[-1] is not None and len(batch) < _MOST_JOBS:
                try:
                    batch.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            running = batch[-1] is not None
            # From here on a future can't be cancelled: a job is either not run, or its future is set.
            self._finish([job for job in batch if job and job[1].set_running_or_notify_cancel()])

    def _finish(self, jobs: list[_Waiting[View]]) -> None:
        """Commit the jobs. Whatever happens each one gets the result, and the thread lives on."""
        try:
            self._commit(jobs)
        except Exception as error:
            for _, future in jobs:
                if not future.done():
                    future.set_exception(error)

    def _commit(self, jobs: list[_Waiting[View]]) -> None:
        while jobs:
            results: list[Any] = []
            try:
                with self._environment.writing() as txn:
                    view = self._view(txn)
                    for job, _ in jobs:
                        results.append(job(view))
            except lmdb.MapFullError:
                self._environment.grow()
            except lmdb.TxnFullError:
                if len(jobs) == 1:
                    raise
                self._finish(jobs[: len(jobs) // 2])
                self._finish(jobs[len(jobs) // 2 :])
                return
            except Exception as error:
                if isinstance(error, lmdb.Error) and str(error).endswith(_NO_ROOM):
                    self._wait_for_room(error)
                elif len(results) < len(jobs):
                    jobs.pop(len(results))[1].set_exception(error)
                else:  # the commit itself, so everyone's
                    raise
            else:
                self.transactions += 1
                if self.pausing is not None:
                    log.warning("the disk of %s has room again: writes go on", self._environment.path)
                    self.pausing = None
                self._committed(view)
                for (_, future), result in zip(jobs, results, strict=True):
                    future.set_result(result)
                return

    def _wait_for_room(self, error: lmdb.Error) -> None:
        """The disk took nothing: report it and wait, so that the same jobs are tried again."""
        reason = str(error).rpartition(": ")[2]
        if self.pausing is None:
            self.paused_at = time.monotonic()
            log.error(
                "disk full (%s): writes to %s are paused, candles wait; free space there",
                reason,
                self._environment.path,
            )
        failing = " or failing" if reason == os.strerror(errno.EIO) else ""
        self.pausing = f"disk full{failing} ({reason})"
        if self._ending.wait(_RETRY_SECONDS):
            raise StoreError(
                f"the disk of {self._environment.path} took no more ({reason}): what waited is not stored"
            ) from error
