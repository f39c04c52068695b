"""The dictionary, the transfer syntaxes and the export folder of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orthanc_tw.app.dictionary import user_dictionary
from orthanc_tw.app.export import export_settings
from orthanc_tw.app.transfer_syntaxes import transfer_syntaxes
from orthanc_tw.config import ConfigurationError
from orthanc_tw.dicom.tag_names import dictionary_vr, tag_name
from orthanc_tw.dicom.tags import UNKNOWN_NAME, parse_tag
from orthanc_tw.dicom.uids import TRANSFER_SYNTAXES
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.startup import StartupError
from tests.config.test_loading import Case

SIEMENS = "SIEMENS CSA HEADER"
JPEG_2000 = {f"1.2.840.10008.1.2.4.{number}" for number in range(90, 94)}


class DictionaryTests(Case):
    def dictionary(self, **options: Any) -> Any:
        return user_dictionary(self.load(options))

    def test_entries(self) -> None:
        """Elements get name and VR; one without a private creator has the default one."""
        found = self.dictionary(
            Dictionary={
                "0014,9990": ["DA", "MyExpiryDate", 1, 1],
                "4321,1012": ["LO", "Button", 1, 1, "RadioLogic"],
                "4321,1013": ["DS", "Dose"],
            },
            DefaultPrivateCreator="Other",
        )
        self.assertEqual(tag_name(0x00149990, None, found), "MyExpiryDate")
        self.assertEqual(tag_name(0x43211012, "RadioLogic", found), "Button")
        self.assertEqual(tag_name(0x43211012, "Somebody", found), UNKNOWN_NAME)
        self.assertEqual(dictionary_vr(0x43211013, "Other", dictionary=found), "DS")
        self.assertEqual(found.default_creator, "Other")

    def test_wrong_entries(self) -> None:
        """What is wrong in an entry is said with its path."""
        for entry, path in (
            (["LO"], "Dictionary.0014,9990"),
            ([1, "Name"], "Dictionary.0014,9990.0"),
            (["lo", "Name"], "Dictionary.0014,9990.0"),
            (["LO", "Name", "1"], "Dictionary.0014,9990.2"),
        ):
            with self.assertRaises(ConfigurationError) as caught:
                self.load({"Dictionary": {"0014,9990": entry}})
            self.assertIn(path + ":", str(caught.exception))
        with self.assertRaises(StartupError):
            self.dictionary(Dictionary={"14,9990": ["LO", "Name"]})

    def test_no_private_dictionary(self) -> None:
        """Vendors' elements have no name, and no VR, once LoadPrivateDictionary is false."""
        tag = 0x00291008
        known = self.dictionary()
        self.assertFalse(known)
        self.assertEqual(tag_name(tag, SIEMENS, known), "CSAImageHeaderType")
        unknown = self.dictionary(LoadPrivateDictionary=False)
        self.assertEqual(tag_name(tag, SIEMENS, unknown), UNKNOWN_NAME)
        self.assertEqual(dictionary_vr(tag, SIEMENS, dictionary=unknown), "UN")
        self.assertEqual(tag_name(0x00290010, SIEMENS, unknown), "PrivateCreator")
        self.assertEqual(tag_name(0x00100010, None, unknown), "PatientName")

    def test_names_of_external(self) -> None:
        """Names of external dictionaries are understood, those of private elements too."""
        path = Path(self.mktemp()).absolute()
        path.write_text(
            "(0012,0999)\tLO\tMyPublic\t1\tX\n"
            '(0011,"MYPRIV",01)\tLO\tMyPrivate\t1\tX\n'
            '(0011,"MYPRIV",2042)\tLO\tMyFixed\t1\tX\n'
            '(0019-o-0021,"MYPRIV",01)\tLO\tMyRange\t1\tX\n'
            '(0013,"MYPRIV",01)\tLO\tPatientName\t1\tX\n'
        )
        found = self.dictionary(ExternalDictionaries=[str(path)])
        tags = [parse_tag(name, found) for name in ("MyPublic", "MyPrivate", "MyFixed")]
        self.assertEqual(tags, [0x00120999, 0x00111001, 0x00112042])
        self.assertEqual(tag_name(0x00111001, "MYPRIV", found), "MyPrivate")
        self.assertEqual(parse_tag("PatientName", found), 0x00100010)
        for name in ("MyRange", "CSAImageHeaderType"):
            self.assertRaises(OrthancError, parse_tag, name, found)

    def test_public_beside_a_creator(self) -> None:
        """A public element is found whatever private creator is asked for beside it."""
        found = self.dictionary(Dictionary={"0014,9990": ["DA", "MyExpiryDate"]})
        self.assertEqual(tag_name(0x00149990, "Other", found), "MyExpiryDate")
        self.assertEqual(dictionary_vr(0x00149990, "Other", dictionary=found), "DA")

    def test_external(self) -> None:
        """Entries of a dictionary of DCMTK replace those of the built-in one."""
        path = Path(self.mktemp()).absolute()
        path.write_text(
            "(0010,0010)\tPN\tNameOfPatient\t1\tDICOM\n"
            '(0029,"SIEMENS CSA HEADER",08)\tLO\tType\t1\tx\n'
        )
        found = self.dictionary(ExternalDictionaries=[str(path)])
        self.assertEqual(tag_name(0x00100010, None, found), "NameOfPatient")
        self.assertEqual(tag_name(0x00291008, SIEMENS, found), "Type")
        self.assertEqual(dictionary_vr(0x00291008, SIEMENS, dictionary=found), "LO")
        self.assertEqual(tag_name(0x00291009, SIEMENS, found), "CSAImageHeaderVersion")
        with self.assertRaises(StartupError):
            self.dictionary(ExternalDictionaries=[f"{path}-not"])


class TransferSyntaxTests(Case):
    def test_families(self) -> None:
        """An older option refuses its family, unless AcceptedTransferSyntaxes is set."""
        every = set(TRANSFER_SYNTAXES)
        self.assertEqual(set(transfer_syntaxes(self.load({}))), every)
        refused = {"Jpeg2000TransferSyntaxAccepted": False, "RleTransferSyntaxAccepted": True}
        self.assertEqual(every - set(transfer_syntaxes(self.load(refused))), JPEG_2000)
        both = {**refused, "AcceptedTransferSyntaxes": ["1.2.840.10008.1.2.4.9?"]}
        self.assertGreater(set(transfer_syntaxes(self.load(both))), JPEG_2000)

    def test_each(self) -> None:
        """Each of the older options refuses something, and no two the same."""
        seen: set[str] = set()
        families = (
            *("Deflated", "Jpeg", "JpegLossless", "Jpeg2000", "Jpip", "Mpeg2", "Mpeg4", "H265"),
            "Rle",
        )
        for family in families:
            options = {f"{family}TransferSyntaxAccepted": False}
            refused = set(TRANSFER_SYNTAXES) - set(transfer_syntaxes(self.load(options)))
            self.assertTrue(refused, family)
            self.assertFalse(refused & seen, family)
            seen |= refused


class ExportSettingsTests(Case):
    def test_needs_both(self) -> None:
        """Exports are allowed where they are enabled, and a folder is named."""
        enabled = {"RestApiWriteToFileSystemEnabled": True}
        folder = {"RestApiExportDirectory": "/srv/export"}
        self.assertIsNone(export_settings(self.load(enabled)).folder)
        self.assertIsNone(export_settings(self.load(folder)).folder)
        self.assertEqual(export_settings(self.load({**enabled, **folder})).folder, "/srv/export")

    def test_own_data(self) -> None:
        """The folders of the server's own data are refused, and what is in or around them."""
        for folder in ("/srv/a/b", "/srv/a/b/c", "/srv/a"):
            options = {
                "RestApiWriteToFileSystemEnabled": True,
                "RestApiExportDirectory": folder,
                "StorageDirectory": "/srv/a/b",
            }
            with self.assertRaises(StartupError):
                export_settings(self.load(options))
