# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Workers of Dask: those of this machine, or a cluster's."""

import contextlib
import logging
import os
import queue
import warnings
from collections.abc import Callable
from typing import Any

from ..tools.toolchain import Failed
from .store import Result, source_digest
from .tasks import Job, OtherVersion, perform

__all__ = ["Workers"]

_LOCAL = "127.0.0.1"
_PATIENCE = 15.0
"""Seconds in which a scheduler has to answer."""


class Workers:
    """Performs jobs side by side; a context manager. Nothing is started before the first job.

    Parameters
    ----------
    address : str or None
        Of a scheduler (``tcp://host:port``). None: workers of this machine, which listen on 127.0.0.1 alone.
    count : int or None
        Workers of this machine. None: as many as it has cores.
    report : callable
        Takes a line on what was started.
    """

    def __init__(self, address: str | None = None, count: int | None = None, report: Callable[[str], None] = print):
        self.address, self.count, self._report = address, count or os.cpu_count() or 1, report
        self._client: Any = None
        self._cluster: Any = None
        self._ended: queue.SimpleQueue = queue.SimpleQueue()
        self.running = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for part in (self._client, self._cluster):
            if part is not None:
                with warnings.catch_warnings(), contextlib.suppress(OSError, TimeoutError):  # all results are in
                    warnings.simplefilter("ignore")
                    part.close(timeout=_PATIENCE)

    @property
    def wanted(self) -> int:
        """Jobs to have at work: one for each thread that is there now; what is given early would wait for its worker."""
        if self._client is None:
            return self.count
        try:
            return max(1, sum(self._client.nthreads().values()))
        except OSError:  # the connection broke
            raise self._gone() from None

    def submit(self, key: str, job: Job) -> None:
        """Give a job to whoever is free."""
        self._client = self._client or self._start()
        future = self._client.submit(perform, job, source_digest(), key=f"{job.task.value}-{key}", pure=True)
        future.add_done_callback(lambda ended: self._ended.put((key, ended)))
        self.running += 1

    def next(self) -> tuple[str, Result]:
        """The key and the result of a job that has ended; waits for one.

        Raises
        ------
        Failed
            If the scheduler went away, or a worker cannot take our jobs.
        """
        while True:
            try:
                key, future = self._ended.get(timeout=0.5)
                break
            except queue.Empty:
                self._check()
        self._check()
        self.running -= 1
        if future.cancelled():  # which happens to all when the connection breaks
            raise self._gone()
        error = future.exception()
        if error is None:
            return key, future.result()
        if isinstance(error, OtherVersion):
            raise Failed(str(error))
        return key, Result(f"{type(error).__name__}: {' '.join(str(error).split())}", {}, 0.0)

    def _check(self):
        if self._client.status != "running":
            raise self._gone()

    def _gone(self):
        return Failed(f"the scheduler at {self.address or 'this machine'} went away; what had ended is kept, and the same "
                      "command goes on from there")

    def _start(self):
        try:
            import distributed
        except ImportError:
            raise Failed("`subbyte explore` needs Dask: pip install 'subbyte[explore]'") from None
        for name in ("distributed", "distributed.client", "distributed.worker", "distributed.nanny", "distributed.scheduler"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told by the results
        if self.address is None:
            self._cluster = distributed.LocalCluster(
                n_workers=self.count, threads_per_worker=1, host=_LOCAL, dashboard_address=f"{_LOCAL}:0",
                worker_dashboard_address=f"{_LOCAL}:0", silence_logs=logging.CRITICAL)
        try:
            client = distributed.Client(self._cluster or self.address, timeout=_PATIENCE)
        except (OSError, TimeoutError, ValueError) as error:
            raise Failed(f"no scheduler of Dask answers at {self.address}: {' '.join(str(error).split())}; "
                         "--scheduler takes tcp://HOST:PORT, and without it workers of this machine do the work") from None
        where = f"{self.count} workers of this machine" if self._cluster else f"the scheduler at {self.address}"
        page = f"; dashboard: {client.dashboard_link}" if "dashboard" in client.scheduler_info()["services"] else ""
        self._report(f"{where}{page}")
        return client
