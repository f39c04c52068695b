"""Metadata by level and door, and what the store tells of itself."""

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import MetadataType, RequestOrigin
from tests.rest.composition import Composition, exchanges, test_file


class MetadataTests(SynchronousTestCase):
    def setUp(self):
        """A store, observed."""
        self.composition = Composition()
        self.seen = []
        self.composition.store._observe = lambda name, value: self.seen.append(name)

    def _store(self, origin, extra=None, data=None):
        spool = self.composition.store.new_spool()
        spool.write(test_file("test_files/CT_small.dcm") if data is None else data)
        return self.composition.store.store(spool, origin, extra)

    def test_dicom_protocol_as_recorded(self):
        """Topic 41: an instance that came by C-STORE has AE titles and no user name."""
        recorded = next(
            exchange["response"]["json"]
            for exchange in exchanges("41-dicom-network")
            if exchange["path"].endswith("/metadata?expand")
            and "CalledAET" in exchange["response"]["json"]
        )
        origin = StoreOrigin(
            RequestOrigin.DICOM_PROTOCOL,
            remote_ip="127.0.0.1",
            remote_aet="ORTHANC",
            called_aet="PEERB",
        )
        result = self.successResultOf(self._store(origin))
        found = self.composition.metadata(result.instance)
        self.assertEqual(set(found), set(recorded))
        for name in ("CalledAET", "RemoteAET", "RemoteIP", "Origin", "PixelDataOffset"):
            self.assertEqual(found[name], recorded[name])
        self.assertEqual(self.composition.metadata(result.series)["RemoteAET"], "ORTHANC")

    def test_extra(self):
        """A job's own metadata go to the levels it names."""
        extra = {
            ResourceType.STUDY: {MetadataType.MODIFIED_FROM: "study"},
            ResourceType.INSTANCE: {MetadataType.MODIFIED_FROM: "instance"},
        }
        result = self.successResultOf(self._store(StoreOrigin(RequestOrigin.UNKNOWN), extra))
        self.assertEqual(self.composition.metadata(result.study)["ModifiedFrom"], "study")
        self.assertEqual(self.composition.metadata(result.instance)["ModifiedFrom"], "instance")
        self.assertNotIn("ModifiedFrom", self.composition.metadata(result.series))

    def test_observed(self):
        """Durations are told, of failures too; nothing is in flight in the end."""
        self.successResultOf(self._store(StoreOrigin(RequestOrigin.REST_API)))
        self.failureResultOf(
            self._store(StoreOrigin(RequestOrigin.REST_API), data=b"nothing"), OrthancError
        )
        self.assertEqual(self.seen, ["orthanc_store_dicom_duration_ms"] * 2)
        self.successResultOf(self.composition.store.drain())
