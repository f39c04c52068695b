"""`ModalityRegistry`: in memory and in the database."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.index.read_only import ReadOnlyIndex
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net.modalities import Manufacturer, RemoteModality
from orthanc_tw.net.registry import ModalityRegistry
from orthanc_tw.testing.memory_index import MemoryIndex

A = RemoteModality("A", "host", 104, Manufacturer.GE, allow_find=False, local_aet="ME", timeout_s=7)
B = RemoteModality("B", "host", 105)


class RegistryTests(SynchronousTestCase):
    """What is there after which change."""

    def test_in_memory(self) -> None:
        """Changes are seen at once, in the order of names; the configuration stays as it is."""
        configured = {"b": B}
        registry = ModalityRegistry(configured)
        self.successResultOf(registry.put("a", A))
        self.assertEqual([("a", A), ("b", B)], list(registry.items()))
        self.successResultOf(registry.remove("b"))
        self.assertEqual(["a"], list(registry))
        self.assertEqual({"b": B}, configured)

    def test_in_database(self) -> None:
        """What was put is there in another registry of the same database, in all its fields."""
        index = MemoryIndex()
        registry = ModalityRegistry({}, index)
        self.successResultOf(registry.put("a", A))
        self.successResultOf(registry.put("b", B))
        self.successResultOf(registry.remove("b"))
        self.assertEqual({"a": A}, dict(ModalityRegistry({}, index)))

    def test_two_changes_at_once(self) -> None:
        """A change does not undo one that another registry has made meanwhile."""
        index = MemoryIndex()
        first, second = ModalityRegistry({}, index), ModalityRegistry({}, index)
        self.assertEqual((0, 0), (len(first), len(second)))
        self.successResultOf(first.put("a", A))
        self.successResultOf(second.put("b", B))
        self.assertEqual(["a", "b"], list(ModalityRegistry({}, index)))

    def test_unreadable(self) -> None:
        """A modality that this version does not understand hides no other."""
        index = MemoryIndex()
        text = '{"a": ["A", "host", 104, "Future"], "b": ["B", "host", 105]}'
        self.successResultOf(index.write(lambda tx: tx.set_global_property("Modalities", text)))
        self.assertEqual({"b": B}, dict(ModalityRegistry({}, index)))
        self.flushLoggedErrors()

    def test_read_only(self) -> None:
        """A database that may only be read refuses, and nothing has changed."""
        registry = ModalityRegistry({}, ReadOnlyIndex(MemoryIndex()))
        error = self.failureResultOf(registry.put("a", A), OrthancError).value
        self.assertIs(ErrorCode.READ_ONLY, error.code)
        self.assertEqual([], list(registry))

    def test_names(self) -> None:
        """A bad name and an unknown one are told apart."""
        registry = ModalityRegistry({})
        for name in ("a b", "a.b", "", "ä", "a\n"):
            error = self.assertRaises(OrthancError, registry.put, name, A)
            self.assertIs(ErrorCode.BAD_FILE_FORMAT, error.code)
        for action in (registry.require, registry.remove):
            error = self.assertRaises(OrthancError, action, "nope")
            self.assertEqual(404, error.http_status)
