"""Options that environment variables set."""

from __future__ import annotations

from pathlib import Path

from tests.config.test_loading import Case


class EnvironmentTests(Case):
    def test_names(self) -> None:
        """Words are matched to known names whatever their case and underscores."""
        configuration = self.load(
            ORTHANC__NAME="x",
            ORTHANC__DICOM_AET="AET",
            ORTHANC__HTTP_PORT="8043",
            ORTHANC__STORAGE_COMPRESSION="true",
            ORTHANC__STORE_MD5_FOR_ATTACHMENTS="false",
        )
        self.assertEqual(
            configuration.to_json(),
            {
                "Name": "x",
                "DicomAet": "AET",
                "HttpPort": 8043,
                "StorageCompression": True,
                "StoreMD5ForAttachments": False,
            },
        )
        self.assertEqual(configuration.warnings, ())

    def test_overrides_files(self) -> None:
        """A variable replaces what a file says, a whole section too; ORTHANC_JSON comes last."""
        configuration = self.load(
            {"Name": "file", "HttpPort": 1, "StableAge": 1, "UserMetadata": {"a": 1024}},
            ORTHANC__NAME="variable",
            ORTHANC__HTTP_PORT="2",
            ORTHANC__USER_METADATA='{"b": 1025}',
            ORTHANC_JSON='{"HttpPort": 3, "UserMetadata": {"c": 1026}} // comment',
        )
        self.assertEqual(
            configuration.to_json(),
            {
                "Name": "variable",
                "HttpPort": 3,
                "StableAge": 1,
                "UserMetadata": {"b": 1025, "c": 1026},
            },
        )

    def test_values(self) -> None:
        """A value is JSON if the option takes that, else text."""
        configuration = self.load(
            ORTHANC__NAME="42",
            ORTHANC__DICOM_AET='"QUOTED"',
            ORTHANC__HTTP_BIND_ADDRESSES='["127.0.0.1"]',
            ORTHANC__OVERWRITE_INSTANCES="true",
            ORTHANC__REGISTERED_USERS__ALICE="12345",
        )
        self.assertEqual(configuration.text("Name"), "42")
        self.assertEqual(configuration.text("DicomAet"), "QUOTED")
        self.assertEqual(configuration.strings("HttpBindAddresses"), ("127.0.0.1",))
        self.assertEqual(configuration.text("OverwriteInstances"), "Always")
        self.assertEqual(configuration.mapping("RegisteredUsers"), {"Alice": "12345"})

    def test_sections(self) -> None:
        """Two underscores separate a section from the option in it, whose case is kept."""
        configuration = self.load(
            {"DicomWeb": {"enableX": 1}, "RegisteredUsers": {"alice": "a"}},
            ORTHANC__DICOM_WEB__ENABLE="true",
            ORTHANC__DICOM_WEB__ENABLE_X="2",
            ORTHANC__DICOM_WEB__ROOT="/dicom-web/",
            ORTHANC__REGISTERED_USERS__ALICE="b",
        )
        self.assertEqual(
            configuration.to_json(),
            {
                "DicomWeb": {"Enable": True, "enableX": 2, "Root": "/dicom-web/"},
                "RegisteredUsers": {"alice": "b"},
            },
        )

    def test_errors_name_the_variable(self) -> None:
        """A wrong value is reported with the variable it comes from."""
        self.assertEqual(
            self.refusal({"HttpPort": 1}, ORTHANC__HTTP_PORT="x"),
            "environment variable ORTHANC__HTTP_PORT: HttpPort: "
            'expected an integer, 0 to 65535, found "x" (a string)',
        )
        self.assertIn(
            "environment variable ORTHANC__NAME__X: Name: expected a string, found an object",
            self.refusal({"Name": "a"}, ORTHANC__NAME__X="1"),
        )
        self.assertIn(
            "environment variable ORTHANC_JSON:1: expected JSON", self.refusal(ORTHANC_JSON="{")
        )

    def test_warnings(self) -> None:
        """Variables that name nothing known are ignored with a warning."""
        warnings = self.load(ORTHANC__HTP_PORT="1", ORTHANC__="2", OTHER="3").warnings
        self.assertEqual(
            warnings,
            (
                "environment variable ORTHANC__: names no option",
                "environment variable ORTHANC__HTP_PORT: HtpPort: unknown option, ignored; "
                "is HttpPort meant?",
            ),
        )

    def test_paths(self) -> None:
        """A relative path belongs to the first file, without one to the working folder."""
        self.assertEqual(
            self.load({}, ORTHANC__STORAGE_DIRECTORY="data").path("StorageDirectory"),
            self.folder / "data",
        )
        self.assertEqual(
            self.load(ORTHANC__STORAGE_DIRECTORY="data").path("StorageDirectory"),
            Path.cwd() / "data",
        )
