"""Access to values, and what follows from several of them."""

from __future__ import annotations

from orthanc_tw.config import derived
from tests.config.test_loading import Case


class AccessTests(Case):
    def test_unknown_name(self) -> None:
        """A name that is no option is a mistake of the program, whatever asks for it."""
        configuration = self.load({"Nope": True})
        for ask in (
            configuration.boolean,
            configuration.integer,
            configuration.text,
            configuration.optional_text,
            configuration.strings,
            configuration.mapping,
            configuration.is_set,
            configuration.path,
        ):
            self.assertRaises(KeyError, ask, "Nope")

    def test_other_type(self) -> None:
        """So is asking for an option as if it had another type."""
        configuration = self.load()
        self.assertRaises(TypeError, configuration.text, "HttpPort")
        self.assertRaises(TypeError, configuration.integer, "KeepAlive")
        self.assertRaises(TypeError, configuration.path, "Name")
        self.assertRaises(TypeError, configuration.paths, "HttpBindAddresses")

    def test_unset(self) -> None:
        """An option without default is None for who says it is optional, else an error."""
        configuration = self.load()
        self.assertIsNone(configuration.optional_boolean("AuthenticationEnabled"))
        self.assertIsNone(configuration.optional_text("Locale"))
        self.assertEqual(configuration.strings("AcceptedSopClasses"), ())
        self.assertEqual(configuration.mapping("RegisteredUsers"), {})
        self.assertRaises(ValueError, configuration.boolean, "AuthenticationEnabled")
        self.assertRaises(ValueError, configuration.text, "Locale")

    def test_is_set(self) -> None:
        """An option set to its default is set."""
        configuration = self.load({"Name": "MyOrthanc", "HttpBindAddresses": []})
        self.assertTrue(configuration.is_set("Name"))
        self.assertTrue(configuration.is_set("HttpBindAddresses"))
        self.assertFalse(configuration.is_set("HttpPort"))

    def test_mapping_keeps_defaults(self) -> None:
        """What an object does not say keeps its default."""
        warnings = self.load({"Warnings": {"W003_DecoderFailure": False}}).mapping("Warnings")
        self.assertFalse(warnings["W003_DecoderFailure"])
        self.assertTrue(warnings["W001_TagsBeingReadFromStorage"])

    def test_immutable(self) -> None:
        """What is handed out are copies."""
        configuration = self.load({"UserMetadata": {"a": 1024}})
        configuration.mapping("UserMetadata").clear()  # type: ignore[attr-defined]
        configuration.to_json()["UserMetadata"].clear()
        self.assertEqual(configuration.mapping("UserMetadata"), {"a": 1024})
        self.assertRaises(AttributeError, setattr, configuration, "warnings", ())

    def test_number(self) -> None:
        """An integer may be asked for as a number."""
        self.assertEqual(self.load({"KeepAliveTimeout": 2}).number("KeepAliveTimeout"), 2.0)

    def test_no_secrets_in_repr(self) -> None:
        """Showing a configuration in a log shows no password."""
        self.assertNotIn("s3cret", repr(self.load({"RegisteredUsers": {"a": "s3cret"}})))


class DerivedTests(Case):
    def test_authentication(self) -> None:
        """Unset, a login is asked for if and only if other machines have access."""
        users = {"RegisteredUsers": {"a": "b"}}
        for remote in (False, True):
            for explicit in (None, False, True):
                document = {"RemoteAccessAllowed": remote, **users}
                if explicit is not None:
                    document["AuthenticationEnabled"] = explicit
                expected = remote if explicit is None else explicit
                self.assertEqual(
                    derived.authentication_enabled(self.load(document)), expected, document
                )

    def test_remote_access_without_users(self) -> None:
        """The server does not start if other machines must log in and nobody can."""
        for document in (
            {"RemoteAccessAllowed": True},
            {"RemoteAccessAllowed": True, "AuthenticationEnabled": True},
            {"RemoteAccessAllowed": True, "RegisteredUsers": {}},
        ):
            message = self.refusal(document)
            self.assertTrue(message.startswith("0.json: RegisteredUsers: expected at least one"))
        self.load({"RemoteAccessAllowed": True, "HttpServerEnabled": False})
        self.assertIn(
            "environment variable ORTHANC__REMOTE_ACCESS_ALLOWED: RegisteredUsers",
            self.refusal({}, ORTHANC__REMOTE_ACCESS_ALLOWED="true"),
        )

    def test_directories(self) -> None:
        """The index is beside the attachments unless it has a folder of its own."""
        configuration = self.load({"StorageDirectory": "s"})
        self.assertEqual(derived.storage_directory(configuration), self.folder / "s")
        self.assertEqual(derived.index_directory(configuration), self.folder / "s")
        configuration = self.load({"StorageDirectory": "s", "IndexDirectory": "i"})
        self.assertEqual(derived.index_directory(configuration), self.folder / "i")

    def test_zero(self) -> None:
        """Where 0 stands for something else, that is what is derived."""
        configuration = self.load({"StableAge": 0, "ConcurrentJobs": 0})
        self.assertEqual(derived.stable_age_s(configuration), 60)
        self.assertGreaterEqual(derived.concurrent_jobs(configuration), 1)
        configuration = self.load({"StableAge": 1, "ConcurrentJobs": 7})
        self.assertEqual(derived.stable_age_s(configuration), 1)
        self.assertEqual(derived.concurrent_jobs(configuration), 7)
