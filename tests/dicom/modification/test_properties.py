"""Properties that hold for any data set."""

from __future__ import annotations

import contextlib
import io
import warnings

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import OrthancError
from tests.dicom.modification.support import CT, dataset, load, modification, run, save

_ASCII = st.text(st.characters(min_codepoint=33, max_codepoint=126, blacklist_characters="\\"),
                 max_size=12)  # fmt: skip
_VALUES = {
    "AccessionNumber": _ASCII,
    "PatientComments": st.text(
        st.characters(min_codepoint=0xC0, max_codepoint=0xFF), min_size=1, max_size=20
    ),
    "StudyDate": st.dates().map(lambda day: f"{day.year:04}{day.month:02}{day.day:02}"),
    "Rows": st.integers(0, 0xFFFF),
    "RescaleSlope": st.integers(-1000, 1000),
    "DoubleFloatRealWorldValueFirstValueMapped": st.floats(allow_nan=False),
    "ImageComments": _ASCII,
    "FrameOfReferenceUID": st.lists(st.integers(1, 99), min_size=2, max_size=6).map(
        lambda parts: "1.2." + ".".join(map(str, parts))
    ),
    "ICCProfile": st.binary(max_size=3000).map(lambda data: data + b"\0" * (len(data) % 2)),
    "ProtocolName": _ASCII,
}
_SEQUENCES = ("RequestAttributesSequence", "ReferencedImageSequence", "DerivationCodeSequence")


def _item(content: dict[str, object]) -> Dataset:
    made = Dataset()
    for name, value in content.items():
        setattr(made, name, value)
    return made


_LEAVES = st.fixed_dictionaries({}, optional=_VALUES)
_ITEMS = st.recursive(
    _LEAVES.map(_item),
    lambda inner: st.builds(
        lambda content, name, items: _item({**content, name: items}),
        _LEAVES,
        st.sampled_from(_SEQUENCES),
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)
_SYNTAXES = st.sampled_from(
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
    ]
)
_SAME = modification(
    {"Keep": ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"], "Force": True}
)
_ANONYMIZE = modification({}, anonymize=True).named("Anonymized1")
_BOUNDED = settings(max_examples=60, suppress_health_check=list(HealthCheck), database=None)


def _file(content: Dataset, syntax: str, undefined: bool) -> bytes:
    made = dataset(SpecificCharacterSet="ISO_IR 100")
    made.update(content)
    if undefined:
        for element in made.iterall():
            if element.VR == "SQ":
                element.is_undefined_length = True
    return save(made, syntax)


class PropertyTests(SynchronousTestCase):
    """For generated data sets, in each native encoding, with both forms of sequences."""

    @_BOUNDED
    @given(_ITEMS, _SYNTAXES, st.booleans())
    def test_no_change(self, content: Dataset, syntax: str, undefined: bool) -> None:
        """A modification that changes nothing gives the same data set."""
        source = _file(content, syntax, undefined)
        self.assertEqual(load(run(_SAME, source)[1]), load(source))

    @_BOUNDED
    @given(_ITEMS, _SYNTAXES, _SYNTAXES)
    def test_transcoding(self, content: Dataset, syntax: str, wanted: str) -> None:
        """Another native encoding and back gives the same data set."""
        source = _file(content, syntax, False)
        there, back = (
            modification(
                {
                    "Keep": ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"],
                    "Force": True,
                    "Transcode": str(uid),
                }
            )
            for uid in (wanted, syntax)
        )
        other = run(there, source)[1]
        self.assertEqual(load(other).file_meta.TransferSyntaxUID, wanted)
        self.assertEqual(load(run(back, other)[1]), load(source))

    @_BOUNDED
    @given(_ITEMS, _SYNTAXES, st.booleans())
    def test_twice(self, content: Dataset, syntax: str, undefined: bool) -> None:
        """Anonymizing twice removes nothing more."""
        first = run(_ANONYMIZE, _file(content, syntax, undefined))[1]
        second = run(_ANONYMIZE, first)[1]

        def shape(data: Dataset) -> list[object]:
            return [
                (e.tag, [shape(i) for i in e.value] if e.VR == "SQ" else e.is_empty) for e in data
            ]

        self.assertEqual(shape(load(second)), shape(load(first)))
        self.assertNotIn(b"PID-4711", first)
        self.assertNotIn(b"Doe^Jane", first)

    @_BOUNDED
    @given(st.integers(0, 3000), st.binary(min_size=1, max_size=20))
    def test_damaged_files(self, position: int, noise: bytes) -> None:
        """A damaged file is anonymized or refused, nothing else."""
        data = bytearray(CT.read_bytes()[:6000])
        data[position : position + len(noise)] = noise
        with warnings.catch_warnings(), contextlib.suppress(OrthancError):
            warnings.simplefilter("ignore")
            done, result = run(_ANONYMIZE, bytes(data))
            self.assertGreater(len(io.BytesIO(result).getvalue()), 132)
            self.assertIsNone(done.dropped)
