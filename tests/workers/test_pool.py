"""The pool with real processes."""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet import reactor as real_reactor  # noqa: TID251  (processes)
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.trial.unittest import TestCase

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.workers.pool import WorkerPool
from orthanc_tw.workers.settings import MB, WorkerSettings

reactor: Any = real_reactor
TASKS = "tests.workers.tasks:"


class PoolTests(TestCase):
    timeout = 120

    def make(self, **settings: Any) -> WorkerPool:
        pool = WorkerPool(reactor.spawnProcess, reactor, WorkerSettings(**settings))
        self.addCleanup(pool.stop)
        return pool

    async def fails(self, deferred: Deferred[Any], code: ErrorCode) -> OrthancError:
        try:
            await deferred
        except OrthancError as error:
            self.assertEqual(error.code, code)
            return error
        raise self.failureException("no error")

    async def test_plain_values(self) -> None:
        """Plain values come back as they went, bytes and large ones too."""
        pool = self.make(workers=1)
        value = {"a": [1, None, True, "é"], "b": b"\x00" * 3_000_000}
        self.assertEqual(await pool.run(TASKS + "echo", [value]), value)

    async def test_several_at_once(self) -> None:
        """There are as many processes as tasks need, up to the limit; then they are used again."""
        pool = self.make(workers=2)
        self.assertEqual(pool.pids, [])
        first = await gatherResults([pool.run(TASKS + "pid") for _ in range(20)])
        self.assertEqual(len(set(first)), 2)
        self.assertEqual(set(first), set(pool.pids))
        self.assertIn(await pool.run(TASKS + "pid"), first)

    async def test_refusal(self) -> None:
        """An OrthancError arrives with code, details and status; the process goes on."""
        pool = self.make(workers=1)
        pid = await pool.run(TASKS + "pid")
        error = await self.fails(pool.run(TASKS + "refuse"), ErrorCode.BAD_FILE_FORMAT)
        self.assertEqual((error.details, error.http_status), ("no DICOM", 400))
        self.assertEqual(await pool.run(TASKS + "pid"), pid)

    async def test_defect(self) -> None:
        """Any other exception is an internal error, and in the log of the server."""
        pool = self.make(workers=1)
        await self.fails(pool.run(TASKS + "fail"), ErrorCode.INTERNAL_ERROR)
        await self.fails(pool.run(TASKS + "unpackable"), ErrorCode.INTERNAL_ERROR)
        await self.fails(pool.run("tests.workers.nowhere:x"), ErrorCode.INTERNAL_ERROR)

    async def test_crash(self) -> None:
        """A task that kills its process fails; the next one gets another process."""
        pool = self.make(workers=1)
        pid = await pool.run(TASKS + "pid")
        await self.fails(pool.run(TASKS + "die"), ErrorCode.INTERNAL_ERROR)
        self.assertNotEqual(await pool.run(TASKS + "pid"), pid)

    async def test_idle_process_killed(self) -> None:
        """A process that is killed while it has nothing to do is replaced."""
        pool = self.make(workers=1)
        pid = await pool.run(TASKS + "pid")
        ended: Deferred[None] = Deferred()
        gone = pool.gone

        def watched(worker: Any) -> None:
            gone(worker)
            if not ended.called:
                ended.callback(None)

        pool.gone = watched  # type: ignore[method-assign]
        os.kill(pid, signal.SIGKILL)
        await ended
        self.assertNotEqual(await pool.run(TASKS + "pid"), pid)

    async def test_deadline(self) -> None:
        """A task that takes too long fails, its process is killed, what waits goes on."""
        pool = self.make(workers=1)
        await pool.run(TASKS + "pid")
        hanging = pool.run(TASKS + "hang", deadline_s=0.01)
        waiting = pool.run(TASKS + "echo", [7])
        await self.fails(hanging, ErrorCode.TIMEOUT)
        self.assertEqual(await waiting, 7)

    async def test_memory(self) -> None:
        """A task that allocates more than it may fails; the server and the next task do not."""
        pool = self.make(workers=1, memory_bytes=256 * MB)
        await self.fails(pool.run(TASKS + "hoard"), ErrorCode.NOT_ENOUGH_MEMORY)
        self.assertEqual(await pool.run(TASKS + "echo", [7]), 7)

    async def test_cancelled(self) -> None:
        """Cancelling drops a task that waits, and kills the process of one under way."""
        pool = self.make(workers=1)
        pid = await pool.run(TASKS + "pid")
        hanging, waiting = pool.run(TASKS + "hang"), pool.run(TASKS + "die")
        after = pool.run(TASKS + "pid")
        for deferred in (waiting, hanging):
            deferred.cancel()
            with self.assertRaises(CancelledError):
                await deferred
        self.assertNotEqual(await after, pid)

    async def test_replaced_in_time(self) -> None:
        """A process is replaced after its number of tasks, and no task is lost."""
        pool = self.make(workers=1, tasks_per_worker=2)
        pids = await gatherResults([pool.run(TASKS + "pid") for _ in range(5)])
        self.assertEqual(len(set(pids)), 3)

    async def test_surroundings(self) -> None:
        """A worker has its four pipes and no secret of the environment; Twisted is not loaded."""
        os.environ["ORTHANC__SECRET"] = "s"
        self.addCleanup(os.environ.pop, "ORTHANC__SECRET")
        found = await self.make(workers=1, niceness=0).run(TASKS + "surroundings")
        self.assertEqual(found["fds"], [0, 1, 2, 3])
        self.assertNotIn("ORTHANC__SECRET", found["environment"])
        self.assertEqual(found["core"], [0, 0])
        self.assertFalse(found["twisted"])

    async def test_signals_of_the_group(self) -> None:
        """What stops the server's group of processes does not fail a task under way."""
        pool = self.make(workers=1)
        pid = await pool.run(TASKS + "pid")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        self.assertEqual(await pool.run(TASKS + "pid"), pid)

    async def test_stop(self) -> None:
        """Stopping ends tasks and processes; nothing more is taken."""
        pool = self.make(workers=1)
        pid = await pool.run(TASKS + "pid")
        hanging, waiting = pool.run(TASKS + "hang"), pool.run(TASKS + "pid")
        stopping = pool.stop()
        await self.fails(hanging, ErrorCode.CANCELED_JOB)
        for late in (waiting, pool.run(TASKS + "pid")):
            with self.assertRaises(CancelledError):
                await late
        await stopping
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)

    def test_not_plain(self) -> None:
        """Arguments that are no plain values are refused at once."""
        pool = self.make(workers=1)
        self.assertRaises(TypeError, pool.run, TASKS + "echo", [object()])
