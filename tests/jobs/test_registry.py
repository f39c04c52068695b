"""The queue and the places in it, by themselves."""

import random

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.admission import Admission
from orthanc_tw.jobs.machine import job_machine
from orthanc_tw.jobs.quota import OutputLimits, OutputsQuota
from orthanc_tw.jobs.record import JobEntry
from orthanc_tw.jobs.registry import JobsRegistry
from orthanc_tw.model.jobs import JobState


def entry(order: int, priority: int = 0) -> JobEntry:
    events, lifecycle = job_machine(JobState.PENDING)
    name = f"job {order}"
    return JobEntry(name, "Kind", True, order, {}, priority, None, False, 0.0, events, lifecycle)


class QueueTests(SynchronousTestCase):
    def test_against_a_sorted_list(self) -> None:
        """Jobs come and go at random; the first is always the one that a sort would find."""
        chance = random.Random(1)
        registry = JobsRegistry(10, OutputsQuota(OutputLimits()))
        entries = [entry(order, chance.randrange(-2, 3)) for order in range(200)]
        for one in entries:
            registry.add(one)
        queued: set[str] = set()
        for _ in range(20_000):
            one = chance.choice(entries)
            action = chance.random()
            if one.job_id not in queued and action < 0.5:
                registry.enqueue(one)
                queued.add(one.job_id)
            elif one.job_id in queued and action < 0.8:
                registry.dequeue(one)
                queued.discard(one.job_id)
            elif action > 0.9:
                waiting = [one for one in entries if one.job_id in queued]
                waiting.sort(key=lambda one: (-one.priority, one.order))
                first = registry.pop()
                self.assertIs(first, waiting[0] if waiting else None)
                if first is not None:
                    queued.discard(first.job_id)
            self.assertEqual(registry.pending, len(queued))

    def test_does_not_grow(self) -> None:
        """Jobs that left the queue do not stay in memory, even if one never leaves it."""
        registry = JobsRegistry(10, OutputsQuota(OutputLimits()))
        first = entry(0, -10)
        registry.add(first)
        registry.enqueue(first)
        for order in range(1, 5000):
            one = entry(order)
            registry.add(one)
            registry.enqueue(one)
            registry.remove(one)
        self.assertLess(len(registry._heap), 100)
        self.assertLess(len(registry._in_heap), 100)
        self.assertIs(registry.pop(), first)


class AdmissionTests(SynchronousTestCase):
    def test_who_comes_back_at_once(self) -> None:
        """A caller who is let in and asks again does not overtake those who wait."""
        pending = 2
        admission = Admission(2, lambda: pending)
        let_in: list[str] = []
        first = admission.admit()
        admission.admit().addCallback(lambda _: let_in.append("second"))
        first.addCallback(lambda _: admission.admit().addCallback(lambda _: let_in.append("again")))
        pending = 0
        admission.update()
        self.assertEqual(let_in, ["second"])
        self.assertEqual(len(admission), 1)
