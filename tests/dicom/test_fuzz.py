"""Damaged files: an `OrthancError` or a summary, in bounded time and memory."""

from __future__ import annotations

from io import BytesIO

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.reader import read_summary
from orthanc_tw.dicom.scan import MAX_SEQUENCE_BYTES
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.dicom.corpus import DATA

NAMES = (
    "CT_small",
    "MR_small",
    "MR_small_implicit",
    "MR_small_bigendian",
    "image_dfl",
    "rtplan",
    "rtstruct",
    "test-SR",
    "reportsi",
    "JPEG2000",
    "SC_rgb_rle_2frame",
    "UN_sequence",
    "nested_priv_SQ",
    "liver_1frame",
)
FILES = [(DATA / "test_files" / f"{name}.dcm").read_bytes() for name in NAMES] + [
    path.read_bytes() for path in sorted((DATA / "charset_files").glob("*.dcm"))
]
MAIN_TAGS = MainDicomTags.from_configuration({"Series": ["ReferencedSeriesSequence"]})
ALLOWED = {
    ErrorCode.BAD_FILE_FORMAT,
    ErrorCode.INEXISTENT_TAG,
    ErrorCode.BAD_PARAMETER_TYPE,
}


class Meter(BytesIO):
    """Counts what is asked of a file."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.reads = 0
        self.largest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read and count."""
        self.reads += 1
        self.largest = max(self.largest, 1 << 40 if size is None or size < 0 else size)
        return super().read(size)


files = st.sampled_from(FILES)
flips = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=12)
profile = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Fuzz(SynchronousTestCase):
    def read(self, content: bytes) -> None:
        """Read it; fail on anything but an expected error, or on unbounded reading."""
        meter = Meter(content)
        try:
            read_summary(meter, len(content), MAIN_TAGS, Encoding.LATIN1)
        except OrthancError as error:
            self.assertIn(error.code, ALLOWED)
        self.assertLessEqual(meter.largest, MAX_SEQUENCE_BYTES)
        self.assertLessEqual(meter.reads, len(content) // 8 + 16)

    def test_truncation(self) -> None:
        """Any prefix of a file is judged."""

        @profile
        @given(files, st.integers(0, 1 << 20))
        def check(content: bytes, size: int) -> None:
            self.read(content[: size % len(content)])

        check()

    def test_flips(self) -> None:
        """Bytes changed anywhere do no harm."""

        @profile
        @given(files, flips)
        def check(content: bytes, changes: list[tuple[int, int]]) -> None:
            damaged = bytearray(content)
            for position, value in changes:
                damaged[position % min(len(damaged), 8192)] = value
            self.read(bytes(damaged))

        check()

    def test_flips_and_truncation(self) -> None:
        """Both at once, with lengths set to their worst."""

        @profile
        @given(files, flips, st.integers(0, 1 << 20), st.integers(0, 1 << 20))
        def check(content: bytes, changes: list[tuple[int, int]], size: int, at: int) -> None:
            damaged = bytearray(content[: size % len(content)])
            for position, value in changes:
                if damaged:
                    damaged[position % len(damaged)] = value
            at %= len(damaged) + 1
            damaged[at : at + 4] = b"\xf0\xff\xff\xff"
            self.read(bytes(damaged))

        check()

    def test_noise(self) -> None:
        """No bytes whatever break it, behind a preamble or not."""

        @profile
        @given(st.binary(max_size=600), st.booleans())
        def check(content: bytes, has_preamble: bool) -> None:
            self.read(bytes(128) + b"DICM" + content if has_preamble else content)

        check()

    def test_lying_size(self) -> None:
        """A file shorter than it is said to be is refused."""
        content = FILES[0]
        for size in (len(content) + 1, 1 << 40):
            error = self.assertRaises(
                OrthancError, read_summary, Meter(content), size, MAIN_TAGS, Encoding.LATIN1
            )
            self.assertEqual(error.code, ErrorCode.BAD_FILE_FORMAT)
