"""Order of the slices of a series."""

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.slices import ordered_slices
from orthanc_tw.index.gateway import ResourceRecord
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import MetadataType

AXIAL = "1\\0\\0\\0\\1\\0"


def record(name, z=None, index=None, orientation=AXIAL, frames=None):
    """An instance as the index has it."""
    tags = {}
    if z is not None:
        tags = {"0020,0032": f"0\\0\\{z}", "0020,0037": orientation}
    if frames is not None:
        tags["0028,0008"] = frames
    metadata = {}
    if index is not None:
        metadata[MetadataType.INDEX_IN_SERIES] = index
    return ResourceRecord(
        1, name, ResourceType.INSTANCE, "p", True, False, "", tags, metadata=metadata
    )


class OrderTests(SynchronousTestCase):
    def test_volume(self):
        """Parallel instances are ordered along their normal, whatever their indices."""
        found = ordered_slices([record("b", 2.5, "1"), record("c", 10, "2"), record("a", -1, "3")])
        self.assertTrue(found.is_volume)
        self.assertEqual([name for name, _ in found.instances], ["a", "b", "c"])

    def test_same_position(self):
        """Two instances in one place make no volume: their indices count."""
        found = ordered_slices([record("b", 1, "2"), record("a", 1, "1")])
        self.assertFalse(found.is_volume)
        self.assertEqual([name for name, _ in found.instances], ["a", "b"])

    def test_other_orientation(self):
        """Neither do instances that are not parallel."""
        tilted = record("b", 2, "2", orientation="1\\0\\0\\0\\0\\1")
        self.assertFalse(ordered_slices([record("a", 1, "1"), tilted]).is_volume)

    def test_frames(self):
        """A single instance is a sequence of its frames; a bad number of frames is one."""
        self.assertEqual(ordered_slices([record("a", frames="5")]).instances, [("a", 5)])
        self.assertEqual(ordered_slices([record("a", frames="x")]).instances, [("a", 1)])

    def test_no_order(self):
        """Without positions and indices there is no order."""
        with self.assertRaises(OrthancError):
            ordered_slices([record("a"), record("b", index="x")])
