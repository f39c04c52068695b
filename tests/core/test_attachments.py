"""Attachments: durable before the row, nothing left behind, revisions."""

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.revisions import Revision
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from tests.rest.browsing import Server

STUDY = ResourceType.STUDY


class AttachmentTests(SynchronousTestCase):
    def setUp(self):
        self.server = Server({"CheckRevisions": True})
        self.study = self.server.upload("test_files/CT_small.dcm")["ParentStudy"]
        self.files = set(self.server.storage.files)

    def _put(self, data, expected=None, study=None):
        spool = self.server.storage.new_spool()
        spool.write(data)
        putting = self.server.attachments.put(STUDY, study or self.study, 1024, spool, expected)
        return Deferred.fromCoroutine(putting)

    def _assert_refused(self, deferred, code):
        error = self.failureResultOf(deferred, OrthancError).value
        self.assertEqual(error.code, code)
        self.assertEqual(self.server.storage.spools, set())

    def _added(self):
        return len(set(self.server.storage.files) - self.files)

    def test_replace(self):
        """A new content takes the place of the old one, whose file is removed."""
        first = self.successResultOf(self._put(b"one"))
        self.assertEqual(first.number, 0)
        second = self.successResultOf(self._put(b"two", first))
        self.assertEqual(second.number, 1)
        self.assertEqual(self._added(), 1)
        data = self.server.ask("GET", f"/studies/{self.study}/attachments/1024/data")
        self.assertEqual(data.body, b"two")

    def test_stale(self):
        """A client that has not seen the last revision writes nothing."""
        self.successResultOf(self._put(b"one"))
        self._assert_refused(self._put(b"two"), ErrorCode.REVISION)
        self._assert_refused(self._put(b"two", Revision(7, "x")), ErrorCode.REVISION)
        self.assertEqual(self._added(), 1)

    def test_unknown_resource(self):
        """Nothing is kept of an attachment of nothing."""
        self._assert_refused(self._put(b"one", study="nope"), ErrorCode.INEXISTENT_ITEM)
        self.assertEqual(self._added(), 0)

    def test_full_disk(self):
        """Nothing is recorded that is not on disk."""
        self.server.storage.fail_commit = OrthancError(ErrorCode.FULL_STORAGE)
        self._assert_refused(self._put(b"one"), ErrorCode.FULL_STORAGE)
        listed = self.server.ask("GET", f"/studies/{self.study}/attachments")
        self.assertEqual(listed.json(), [])

    def test_failing_index(self):
        """A file whose row cannot be written is removed."""
        self.server.index.write = lambda fn: fail(OrthancError(ErrorCode.DATABASE))
        self._assert_refused(self._put(b"one"), ErrorCode.DATABASE)
        self.assertEqual(self._added(), 0)

    def test_damaged(self):
        """A file that is not what was stored does not pass verification."""
        self.successResultOf(self._put(b"one"))
        path = f"/studies/{self.study}/attachments/1024/verify-md5"
        self.assertEqual(self.server.ask("POST", path, b"").status, 200)
        (uuid,) = set(self.server.storage.files) - self.files
        self.server.storage.files[uuid] = b"two"
        self.assertEqual(self.server.ask("POST", path, b"").status, 400)

    def test_empty(self):
        """An attachment may be empty."""
        answer = self.server.ask("PUT", f"/studies/{self.study}/attachments/1025", b"")
        self.assertEqual(answer.status, 200)
        answer = self.server.ask("GET", f"/studies/{self.study}/attachments/1025/data")
        self.assertEqual((answer.status, answer.body), (200, b""))
