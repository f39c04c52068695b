"""Verbosity of the log by category."""

from twisted.logger import FilteringLogObserver, Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.log_levels import LogLevels


class LogLevelsTests(SynchronousTestCase):
    def setUp(self):
        self.levels = LogLevels()
        self.events = []
        self.observer = FilteringLogObserver(self.events.append, [self.levels])

    def _written(self, namespace, level=LogLevel.info):
        self.events.clear()
        Logger(namespace, observer=self.observer).emit(level, "text")
        return bool(self.events)

    def test_default(self):
        """Warnings are written, information is not."""
        self.assertFalse(self._written("orthanc_tw.rest.site"))
        self.assertTrue(self._written("orthanc_tw.rest.site", LogLevel.warn))
        self.assertTrue(self._written("orthanc_tw.jobs", LogLevel.critical))

    def test_category(self):
        """A level has effect on its category only."""
        self.levels.set("verbose", "http")
        self.assertTrue(self._written("orthanc_tw.rest.site"))
        self.assertFalse(self._written("orthanc_tw.rest.site", LogLevel.debug))
        self.assertFalse(self._written("orthanc_tw.jobs.engine"))
        self.levels.set("trace", "jobs")
        self.assertTrue(self._written("orthanc_tw.jobs.engine", LogLevel.debug))

    def test_all(self):
        """Setting all sets each; the loudest one is told of all."""
        self.levels.set("trace")
        self.assertTrue(self._written("orthanc_tw.core.store", LogLevel.debug))
        self.levels.set("default")
        self.assertEqual(self.levels.loudest(), "default")
        self.levels.set("verbose", "sqlite")
        self.assertEqual(self.levels.loudest(), "verbose")

    def test_others(self):
        """Events of other libraries pass."""
        self.assertTrue(self._written("twisted.web"))

    def test_wrong(self):
        """An unknown level or category changes nothing."""
        self.assertRaises(ValueError, self.levels.set, "loud")
        self.assertRaises(KeyError, self.levels.set, "trace", "nope")
        self.assertEqual(self.levels.loudest(), "default")
