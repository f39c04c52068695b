"""Files, folders and environment, merged and checked."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.config import Configuration, ConfigurationError, load
from orthanc_tw.config.options import OPTIONS


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        """A folder of its own for each test."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def write(self, name: str, content: Any) -> Path:
        """A file with JSON."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    def load(self, *documents: Any, **environ: str) -> Configuration:
        """What a file for each document, and an environment, give."""
        return load(
            [self.write(f"{i}.json", document) for i, document in enumerate(documents)], environ
        )

    def refusal(self, *documents: Any, **environ: str) -> str:
        """The message of a configuration that must not be accepted, without the folder."""
        error = self.assertRaises(ConfigurationError, self.load, *documents, **environ)
        message = str(error)
        self.assertNotIn("\n", message)
        return message.replace(f"{self.folder}/", "")


class FilesTests(Case):
    def test_nothing(self) -> None:
        """Without files all options have their defaults, and folders are in the working one."""
        configuration = load([], {})
        self.assertEqual(configuration.text("Name"), "MyOrthanc")
        self.assertEqual(configuration.warnings, ())
        self.assertEqual(configuration.path("StorageDirectory"), Path.cwd() / "OrthancStorage")

    def test_forbidden(self) -> None:
        """A folder that may not be entered is named, with the reason."""
        forbidden = self.folder / "forbidden"
        forbidden.mkdir(0)
        if os.geteuid() == 0:
            # Root may enter any folder: ask as somebody else, who owns nothing.
            self.folder.chmod(0o755)
            os.seteuid(65534)
            self.addCleanup(os.seteuid, 0)
        for path in (forbidden, forbidden / "o.json"):
            error = self.assertRaises(ConfigurationError, load, [path], {})
            self.assertIn("Permission denied", str(error))

    def test_unreadable(self) -> None:
        """So is one that cannot be listed."""

        def iterdir(path: Path) -> Any:
            raise PermissionError(13, "Permission denied")

        self.patch(Path, "iterdir", iterdir)
        error = self.assertRaises(ConfigurationError, load, [self.folder], {})
        self.assertEqual(
            str(error),
            f"{self.folder}: expected a readable file or folder, found Permission denied",
        )

    def test_folder(self) -> None:
        """A folder is all its *.json files in sorted order, and no other files."""
        self.write("conf/b.json", {"HttpPort": 1})
        self.write("conf/a.json", {"Name": "a"})
        self.write("conf/c.json.bak", {"Name": "c"})
        configuration = load([self.folder / "conf"], {})
        self.assertEqual((configuration.text("Name"), configuration.integer("HttpPort")), ("a", 1))

    def test_empty_folder(self) -> None:
        """A folder without configuration is an error: the wrong folder, most likely."""
        (self.folder / "empty").mkdir()
        error = self.assertRaises(ConfigurationError, load, [self.folder / "empty"], {})
        self.assertIn("expected *.json files in this folder, found none", str(error))

    def test_missing_file(self) -> None:
        """A file that is not there is an error that names it."""
        error = self.assertRaises(ConfigurationError, load, [self.folder / "no.json"], {})
        self.assertEqual(
            str(error),
            f"{self.folder}/no.json: expected a readable file or folder, "
            "found No such file or directory",
        )

    def test_sections_are_merged(self) -> None:
        """A section may be spread over several files."""
        configuration = self.load(
            {"UserMetadata": {"a": 1024}}, {"UserMetadata": {"b": 1025}}, {"Name": "x"}
        )
        self.assertEqual(configuration.mapping("UserMetadata"), {"a": 1024, "b": 1025})

    def test_defined_twice(self) -> None:
        """An option in two files is an error that names both, also inside a section."""
        self.assertEqual(
            self.refusal({"Name": "a"}, {"Name": "b"}),
            "1.json: Name: expected one definition, "
            "found it is defined twice, in 0.json and 1.json",
        )
        self.assertIn(
            "1.json: UserMetadata.a: expected one definition",
            self.refusal({"UserMetadata": {"a": 1024}}, {"UserMetadata": {"a": 1024}}),
        )
        self.assertIn("defined twice", self.refusal({"UserMetadata": {}}, {"UserMetadata": 1}))

    def test_paths(self) -> None:
        """A relative path belongs to the file that names it, a default to the first file."""
        first = self.write("one/a.json", {"IndexDirectory": "index"})
        second = self.write("two/b.json", {"StorageDirectory": "../data", "SslEnabled": False})
        configuration = load([first, second], {})
        self.assertEqual(configuration.path("IndexDirectory"), self.folder / "one" / "index")
        storage = configuration.path("StorageDirectory")
        assert storage is not None
        self.assertEqual(storage.resolve(), (self.folder / "data").resolve())
        self.assertEqual(
            configuration.path("SslCertificate"), self.folder / "one" / "certificate.pem"
        )

    def test_absolute_path(self) -> None:
        """An absolute path is itself; an optional one that is not set is None."""
        configuration = self.load({"StorageDirectory": "/data"})
        self.assertEqual(configuration.path("StorageDirectory"), Path("/data"))
        self.assertIsNone(configuration.path("TemporaryDirectory"))


class ValidationTests(Case):
    def test_wrong_type(self) -> None:
        """A message names the file, the option, what was expected and what was found."""
        self.assertEqual(
            self.refusal({"HttpPort": "8042"}),
            '0.json: HttpPort: expected an integer, 0 to 65535, found "8042" (a string)',
        )

    def test_wrong_types(self) -> None:
        """No option takes a value of another type: a boolean is no number, null is nothing."""
        for document, found in [
            ({"HttpPort": True}, "found true"),
            ({"HttpPort": 1.5}, "found 1.5"),
            ({"HttpPort": None}, "found null"),
            ({"Name": 1}, "found 1"),
            ({"Name": ["x"]}, "found an array"),
            ({"StorageCompression": 0}, "found 0"),
            ({"StorageCompression": "true"}, 'found "true" (a string)'),
            ({"UserMetadata": []}, "found an array"),
            ({"AcceptedTransferSyntaxes": "1.2.*"}, 'found "1.2.*" (a string)'),
        ]:
            self.assertIn(found, self.refusal(document))
        self.assertIn(
            "0.json: AcceptedTransferSyntaxes.1: expected a string, found 2",
            self.refusal({"AcceptedTransferSyntaxes": ["1", 2]}),
        )

    def test_whole_float(self) -> None:
        """A number that is whole is an integer, however it is written."""
        value = self.load({"HttpPort": 8043.0}).integer("HttpPort")
        self.assertEqual((value, type(value)), (8043, int))

    def test_impossible_values(self) -> None:
        """Values out of range are refused, those at its ends are not."""
        for document in (
            {"HttpPort": -1},
            {"HttpPort": 65536},
            {"MaximumStorageSize": -1},
            {"DicomAet": ""},
            {"DicomAet": "12345678901234567"},
            {"StorageDirectory": ""},
            {"MaximumStorageMode": "recycle"},
            {"OverwriteInstances": "Sometimes"},
            {"DefaultEncoding": "Latin9"},
            {"SslMinimumProtocolVersion": 6},
            {"StorageAccessOnFind": "No"},
        ):
            (name,) = document
            self.assertTrue(self.refusal(document).startswith(f"0.json: {name}: expected "))
        for document in (
            {"HttpPort": 0},
            {"HttpPort": 65535},
            {"DicomAet": "1234567890123456"},
            {"MaximumStorageMode": "Reject"},
        ):
            self.load(document)

    def test_overwrite_instances(self) -> None:
        """OverwriteInstances takes the booleans of older versions."""
        for value, mode in [(True, "Always"), (False, "Never"), ("IfChanged", "IfChanged")]:
            configuration = self.load({"OverwriteInstances": value})
            self.assertEqual(configuration.text("OverwriteInstances"), mode)

    def test_encoding_without_case(self) -> None:
        """The case of an encoding does not count, as in /tools/default-encoding."""
        self.assertEqual(self.load({"DefaultEncoding": "utf8"}).text("DefaultEncoding"), "Utf8")

    def test_users(self) -> None:
        """A password must be a string, and is never repeated in a message."""
        message = self.refusal({"RegisteredUsers": {"alice": 12345}})
        self.assertEqual(
            message, "0.json: RegisteredUsers.alice: expected a string, found a number"
        )
        self.assertNotIn("s3cret", self.refusal({"RegisteredUsers": "s3cret"}))
        self.assertIn("no colon", self.refusal({"RegisteredUsers": {"a:b": "x"}}))

    def test_user_metadata(self) -> None:
        """Numbers of user metadata are from 1024 to 65535, and each is given once."""
        for number in (1023, 65536, "1024", True, 2000.5):
            self.assertIn(
                "0.json: UserMetadata.a: expected an integer from 1024 to 65535",
                self.refusal({"UserMetadata": {"a": number}}),
            )
        self.assertIn(
            "UserMetadata.b: expected a number of its own, found 1024, which is that of a",
            self.refusal({"UserMetadata": {"a": 1024, "b": 1024}}),
        )

    def test_user_content_type(self) -> None:
        """An attachment type is a number, or a number and a MIME type."""
        value = {"a": 1024, "b": [1025, "application/pdf"]}
        self.assertEqual(self.load({"UserContentType": value}).mapping("UserContentType"), value)
        for wrong in ([1025], [1025, 1], [1, "a/b"], 1023, "x", [1024, "a/b", 1]):
            self.assertIn(
                "0.json: UserContentType.a: expected",
                self.refusal({"UserContentType": {"a": wrong}}),
            )
        self.assertIn(
            "of its own", self.refusal({"UserContentType": {"a": 1024, "b": [1024, "x"]}})
        )

    def test_extra_main_dicom_tags(self) -> None:
        """Extra tags are arrays of strings by level."""
        self.assertIn('found "Frame"', self.refusal({"ExtraMainDicomTags": {"Frame": ["Rows"]}}))
        self.assertIn(
            "ExtraMainDicomTags.Study: expected an array",
            self.refusal({"ExtraMainDicomTags": {"Study": "Rows"}}),
        )
        self.assertIn(
            "ExtraMainDicomTags.Study.0: expected a string",
            self.refusal({"ExtraMainDicomTags": {"Study": [1]}}),
        )

    def test_other_objects(self) -> None:
        """Objects of features to come are checked for their shape already."""
        for document in (
            {"Warnings": {"W001": 1}},
            {"JobsEngineThreadsCount": {"ResourceModification": 0}},
            {"JobsRetry": {"Archive": 3}},
            {"JobsRetry": {"Archive": {"Tries": 3}}},
            {"JobsRetry": {"Archive": {"MaximumAttempts": 0}}},
            {"JobsRetry": {"Archive": {"MaximumAttempts": 1.5}}},
            {"JobsRetry": {"Archive": {"InitialDelay": True}}},
            {"JobsRetry": {"Archive": {"MaximumDelay": 1e9}}},
            {"DicomModalities": {"a": ["AET"]}},
            {"DicomModalities": {"a": {"AET": "A"}}},
            {"OrthancPeers": {"a": []}},
            {"OrthancPeers": {"a": {}}},
            {"Dictionary": {"0014,1020": "DA"}},
        ):
            (name,) = document
            self.assertIn(f"0.json: {name}.", self.refusal(document))

    def test_long_value(self) -> None:
        """A message does not repeat a value of any length."""
        self.assertLess(len(self.refusal({"HttpPort": "x" * 10_000})), 200)

    def test_origin_of_a_value_in_a_merged_section(self) -> None:
        """The file named is the one that holds the wrong value, not that of its section."""
        self.assertTrue(
            self.refusal({"UserMetadata": {"a": 1024}}, {"UserMetadata": {"b": 1}}).startswith(
                "1.json: UserMetadata.b:"
            )
        )


class WarningsTests(Case):
    def warnings(self, document: Any) -> list[str]:
        """Warnings, without the folder."""
        return [w.replace(f"{self.folder}/", "") for w in self.load(document).warnings]

    def test_unknown(self) -> None:
        """An unknown option is a warning with the nearest known name."""
        self.assertEqual(
            self.warnings({"HttpPrt": 1, "httpPort": 2, "Zyx": 3}),
            [
                "0.json: HttpPrt: unknown option, ignored; is HttpPort meant?",
                "0.json: httpPort: unknown option, ignored; is HttpPort meant?",
                "0.json: Zyx: unknown option, ignored",
            ],
        )

    def test_not_honoured(self) -> None:
        """An option without effect is a warning if it differs from its default only."""
        self.assertEqual(self.warnings({"HttpThreadsCount": 50}), [])
        self.assertEqual(
            self.warnings({"HttpThreadsCount": 51}),
            [f"0.json: HttpThreadsCount: {OPTIONS['HttpThreadsCount'].inapplicable}"],
        )

    def test_honoured(self) -> None:
        """An option that works gives no warning."""
        self.assertEqual(self.warnings({"Name": "x", "StableAge": 1}), [])

    def test_plugin_section(self) -> None:
        """The section of a plugin is accepted whatever is in it, and said not to be used."""
        self.assertEqual(
            self.warnings({"DicomWeb": {"Enable": True, "Root": 1}}),
            ["0.json: DicomWeb: read by a plugin of Orthanc, not used by this server"],
        )

    def test_insecure(self) -> None:
        """Remote access without login, or with passwords in the clear, is worth a warning."""
        remote = {"RemoteAccessAllowed": True}
        (warning,) = self.warnings({**remote, "AuthenticationEnabled": False})
        self.assertIn("nobody must log in", warning)
        (warning,) = self.warnings({**remote, "RegisteredUsers": {"a": "b"}})
        self.assertIn("SslEnabled", warning)
        users = {"RegisteredUsers": {"a": "b"}, "SslEnabled": True}
        self.assertEqual(self.warnings({**remote, **users}), [])

    def test_login_for_nobody(self) -> None:
        """Authentication without users locks everybody out."""
        (warning,) = self.warnings({"AuthenticationEnabled": True})
        self.assertIn("nobody can log in", warning)
