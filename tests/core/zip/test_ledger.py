"""The ZIP writer against other readers: the standard library, and Info-ZIP where it is there."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import zipfile
import zlib
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from orthanc_tw.core.zip.deflate import MemberReader, deflate_member
from orthanc_tw.core.zip.ledger import ZipLedger
from orthanc_tw.core.zip.partial import read_members, verify_member
from orthanc_tw.core.zip.records import DEFLATED, MAX_32, STORED, Entry, dos_time
from orthanc_tw.model.errors import ErrorCode, OrthancError

MOMENT = datetime(2024, 2, 29, 23, 59, 58)

names = st.lists(
    st.text(st.characters(exclude_characters="\\\0", exclude_categories=["Cs"]), min_size=1),
    unique=True,
    max_size=8,
)


def write_zip(members: list[tuple[str, bytes]], deflate: bool, seekable: bool) -> bytes:
    """A ZIP in memory; odd members in parts, even ones whole."""
    ledger = ZipLedger(dos_time(MOMENT))
    out = bytearray()
    for index, (name, content) in enumerate(members):
        raw = name.encode()
        if index % 2 == 0:
            member = deflate_member(io.BytesIO(content), len(content), deflate=deflate)
            out += ledger.add(raw, member.method, member.crc, member.size, member.data)
            out += b"".join(member.data)
            continue
        reader = MemberReader(io.BytesIO(content), len(content), deflate=deflate)
        begun = ledger.begin(raw, reader.method, len(content), seekable=seekable)
        out += begun.local_header()
        while not reader.is_done:
            out += b"".join(reader.read(7))
        entry = ledger.end(begun, reader.crc, reader.size, reader.compressed_size)
        if seekable:
            header = entry.local_header()
            out[entry.offset : entry.offset + len(header)] = header
        else:
            out += entry.descriptor()
    assert ledger.offset == len(out)
    return bytes(out) + b"".join(ledger.finish())


class RoundTripTests(SynchronousTestCase):
    @settings(max_examples=60)
    @given(names, st.data(), st.booleans(), st.booleans())
    def test_zipfile_reads_what_is_written(
        self, paths: list[str], data: st.DataObject, deflate: bool, seekable: bool
    ) -> None:
        """The standard library finds every name and content, in their order, with good CRCs."""
        members = [(path, data.draw(st.binary(max_size=300)) * 3) for path in paths]
        with zipfile.ZipFile(io.BytesIO(write_zip(members, deflate, seekable))) as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(
                [info.orig_filename for info in archive.infolist()], [name for name, _ in members]
            )
            for info, (_name, content) in zip(archive.infolist(), members, strict=True):
                self.assertEqual(archive.read(info), content)
                self.assertEqual(info.date_time, (2024, 2, 29, 23, 59, 58))

    def test_names_beyond_ascii_are_marked_as_utf8(self) -> None:
        """Bit 11 is set for a name that needs it, and for no other."""
        with zipfile.ZipFile(io.BytesIO(write_zip([("é", b"1"), ("e", b"2")], True, True))) as z:
            self.assertEqual([info.flag_bits & 0x800 for info in z.infolist()], [0x800, 0])

    def test_info_zip_accepts_both_kinds(self) -> None:
        """``unzip -t`` and ``zipinfo`` find nothing to complain of."""
        if shutil.which("unzip") is None or shutil.which("zipinfo") is None:
            raise SkipTest("Info-ZIP is not installed")
        members = [(f"folder/{n}.dcm", os.urandom(n * 50_000) + bytes(n)) for n in range(4)]
        for seekable in (True, False):
            path = self.mktemp()
            with open(path, "wb") as file:
                file.write(write_zip(members, True, seekable))
            for command in (["unzip", "-tqq", path], ["zipinfo", path]):
                done = subprocess.run(command, capture_output=True, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, b""), done.stdout)


class Zip64Tests(SynchronousTestCase):
    def test_a_large_member_and_offset(self) -> None:
        """Sizes and offsets above 4 GB are read back by the standard library (sparse file)."""
        ledger = ZipLedger(dos_time(MOMENT))
        size = 5 * 2**30
        path = self.mktemp()
        with open(path, "wb") as file:
            begun = ledger.begin(b"large", STORED, size, seekable=True)
            file.write(begun.local_header())
            file.seek(size, os.SEEK_CUR)
            entry = ledger.end(begun, 0, size, size)
            file.seek(0)
            file.write(entry.local_header())
            file.seek(ledger.offset)
            file.write(ledger.add(b"behind", STORED, zlib.crc32(b"x"), 1, [b"x"]) + b"x")
            file.writelines(ledger.finish())
        with zipfile.ZipFile(path) as archive:
            large, behind = archive.infolist()
            self.assertEqual((large.file_size, large.compress_size), (size, size))
            self.assertGreater(behind.header_offset, MAX_32)
            self.assertEqual(archive.read(behind), b"x")
        with open(path, "rb") as file:
            found = read_members(file, behind.header_offset)
        self.assertEqual([(entry.size, entry.is_large) for entry in found], [(size, True)])

    def test_a_large_member_with_a_descriptor(self) -> None:
        """A streamed member of 4 GB and more has a descriptor with 8 bytes a size."""
        ledger = ZipLedger(0)
        begun = ledger.begin(b"large", STORED, MAX_32, seekable=False)
        header = begun.local_header()
        self.assertEqual(struct.unpack_from("<H", header, 6)[0] & 8, 8)
        self.assertEqual(struct.unpack_from("<H", header, 4)[0], 45)
        entry = ledger.end(begun, 1, MAX_32, MAX_32)
        self.assertEqual(len(entry.descriptor()), 24)
        self.assertEqual(ledger.offset, len(header) + MAX_32 + 24)

    def test_many_members(self) -> None:
        """From 65,535 members on the count is that of the ZIP64 record."""
        count = 65_536
        ledger = ZipLedger(0)
        out = bytearray()
        for number in range(count):
            out += ledger.add(b"%d" % number, STORED, 0, 0, [])
        chunks = list(ledger.finish())
        self.assertTrue(all(len(chunk) < 100_000 for chunk in chunks))
        with zipfile.ZipFile(io.BytesIO(bytes(out) + b"".join(chunks))) as archive:
            self.assertEqual(len(archive.infolist()), count)
            self.assertEqual(archive.infolist()[-1].filename, "65535")

    def test_a_small_archive_has_no_zip64_records(self) -> None:
        """Old readers are told of nothing newer than they need."""
        data = write_zip([("a", b"1"), ("b", b"2")], True, True)
        self.assertNotIn(b"PK\x06\x06", data)
        self.assertEqual(struct.unpack_from("<H", data, 4)[0], 20)

    def test_a_member_that_outgrew_its_header_is_refused(self) -> None:
        """Sizes that the header has no place for are never written cut off."""
        ledger = ZipLedger(0)
        begun = ledger.begin(b"grew", STORED, 10, seekable=True)
        self.assertRaises(ValueError, ledger.end, begun, 0, MAX_32, MAX_32)


class ReaderTests(SynchronousTestCase):
    def test_a_source_of_another_length_is_corrupted(self) -> None:
        """Shorter or longer than the index says: CORRUPTED_FILE, in parts or whole."""
        for content in (b"abc", b"abcde"):
            for budget in (2, 4, 100):
                reader = MemberReader(io.BytesIO(content), 4, deflate=True)
                with self.assertRaises(OrthancError) as caught:
                    while not reader.is_done:
                        reader.read(budget)
                self.assertIs(caught.exception.code, ErrorCode.CORRUPTED_FILE)

    def test_parts_hold_no_more_than_their_budget(self) -> None:
        """A large source is never whole in memory."""
        size = 3_000_000
        reader = MemberReader(io.BytesIO(bytes(size)), size, deflate=False)
        parts = []
        while not reader.is_done:
            parts.append(sum(map(len, reader.read(1_000_000))))
        self.assertEqual(parts, [1_000_000] * 3)


class PartialTests(SynchronousTestCase):
    def _partial(self) -> tuple[bytes, list[Entry]]:
        ledger = ZipLedger(dos_time(MOMENT))
        out = bytearray()
        for number in range(3):
            content = os.urandom(100) + bytes(900)
            member = deflate_member(io.BytesIO(content), 1000, deflate=number != 1)
            out += ledger.add(b"%d" % number, member.method, member.crc, 1000, member.data)
            out += b"".join(member.data)
        return bytes(out), ledger.entries

    def test_members_are_found_again(self) -> None:
        """The entries of a file without a directory are those that were written."""
        data, entries = self._partial()
        self.assertEqual(read_members(io.BytesIO(data + b"rest"), len(data)), entries)
        self.assertEqual([entry.method for entry in entries], [DEFLATED, STORED, DEFLATED])

    def test_every_cut_is_noticed(self) -> None:
        """A file shorter than the offset, or an offset within a member, is refused."""
        data, entries = self._partial()
        ends = {0, len(data), *(entry.offset for entry in entries)}
        for end in range(len(data) + 1):
            if end in ends:
                self.assertEqual(len(read_members(io.BytesIO(data), end)), sorted(ends).index(end))
            else:
                self.assertRaises(ValueError, read_members, io.BytesIO(data), end)
        for length in range(len(data)):
            self.assertRaises(ValueError, read_members, io.BytesIO(data[:length]), len(data))

    def test_damage_is_noticed(self) -> None:
        """A byte of the data that is not what it was fails the verification."""
        data, entries = self._partial()
        for entry in entries:
            verify_member(io.BytesIO(data), entry)
            damaged = bytearray(data)
            damaged[entry.offset + 60] ^= 0x10
            self.assertRaises(ValueError, verify_member, io.BytesIO(damaged), entry)


class DosTimeTests(SynchronousTestCase):
    def test_years_outside_its_range(self) -> None:
        """A year that it cannot express becomes the nearest one."""
        self.assertEqual(dos_time(datetime(1970, 5, 5)) >> 25, 0)
        self.assertEqual(dos_time(datetime(2200, 5, 5)) >> 25, 127)
