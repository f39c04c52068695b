"""Bad input of the routes of browsing: the right status, the field named, and on it goes."""

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.find import FindSettings
from orthanc_tw.rest.query import query_arguments
from tests.rest.browsing import Server

FIND = "/tools/find"
OK = {"Level": "Study", "Query": {}}


class FieldTests(SynchronousTestCase):
    def setUp(self):
        self.server = Server()
        self.study = self.server.upload("test_files/CT_small.dcm")["ParentStudy"]

    def _refused(self, method, path, body=None, status=400):
        answer = self.server.ask(method, path, body)
        self.assertEqual(answer.status, status, (path, body, answer))
        self.assertEqual(self.server.ask("GET", "/studies").json(), [self.study])
        return answer.json().get("Details", "")

    def test_surrogates(self):
        """Half of a surrogate pair is no text: 400 wherever it stands, 500 nowhere."""
        for path in (FIND, "/tools/bulk-content", "/tools/bulk-delete"):
            for body in (
                b'"\\ud800"',
                b'{"Level": "Study", "Query": {"PatientName": "\\ud800"}}',
                b'{"Resources": ["\\udc00\\ud800"]}',
                b'{"Resources": ["\xed\xa0\x80"]}',
                b'["\\ud800"]',
            ):
                self._refused("POST", path, body)
        whole = {**OK, "Query": {"PatientName": "\U0001f600"}}
        self.assertEqual(self.server.ask("POST", FIND, whole).json(), [])

    def test_find(self):
        """Every field of a search is checked."""
        for extra, text in (
            ({"Limit": True}, '"Limit"'),
            ({"Since": 1.5}, '"Since"'),
            ({"Full": "x"}, '"Full"'),
            ({"OrderBy": [1]}, '"OrderBy"'),
            ({"OrderBy": [{"Type": "DicomTag", "Direction": "ASC"}]}, '"Key"'),
            ({"MetadataQuery": []}, '"MetadataQuery"'),
            ({"MetadataQuery": {"LastUpdate": 1}}, '"LastUpdate"'),
            ({"ResponseContent": [1]}, '"ResponseContent"'),
            ({"RequestedTags": [None]}, '"RequestedTags"'),
            ({"LabelsConstraint": 1}, '"LabelsConstraint"'),
            ({"ParentSeries": "x"}, '"ParentSeries"'),
            ({"Query": {"Nope": "x"}}, "Nope"),
        ):
            self.assertIn(text, self._refused("POST", FIND, {**OK, **extra}), extra)

    def test_find_body(self):
        """What is no JSON object is refused, however it is broken."""
        for body in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"NaN", b'"x"'):
            self.assertIn("JSON object", self._refused("POST", FIND, body))

    def test_lenient(self):
        """Comments and trailing commas are forgiven, but not inside strings."""
        body = '{"Level": "Study", /* x, } */ "Query": {"PatientID": "a,} // b",},} // end\n'
        self.assertEqual(self.server.ask("POST", FIND, body).json(), [])

    def test_huge_numbers(self):
        """Numbers beyond all measure are just large."""
        body = {**OK, "Limit": 10**30, "Since": 10**30}
        self.assertEqual(self.server.ask("POST", FIND, body).json(), [])
        path = "/studies?since=0&limit=999999999999999999"
        self.assertEqual(self.server.ask("GET", path).json(), [self.study])
        self._refused("GET", "/studies?since=0&limit=" + "9" * 30)

    def test_ordering_limit(self):
        """No more resources are ordered than the limit allows."""
        server = Server(find=FindSettings(maximum_ordered=1))
        for name in ("test_files/CT_small.dcm", "test_files/MR_small.dcm"):
            server.upload(name)
        order = [{"Type": "DicomTag", "Key": "PatientID", "Direction": "ASC"}]
        answer = server.ask("POST", FIND, {**OK, "OrderBy": order})
        self.assertEqual(answer.status, 400)
        self.assertIn('"OrderBy"', answer.json()["Details"])

    def test_bulk(self):
        """Lists of resources are checked before anything is deleted."""
        for body in ({}, {"Resources": "x"}, {"Resources": [1]}, {"Resources": [self.study, 1]}):
            self._refused("POST", "/tools/bulk-delete", body)

    def test_transcode(self):
        """An impossible syntax, an unknown one and a bad quality are told by name."""
        (instance,) = self.server.ask("GET", "/instances").json()
        path = f"/instances/{instance}/file?transcode="
        self.assertIn(
            "Transcode", self._refused("GET", path + "1.2.840.10008.1.2.4.50", status=501)
        )
        quality = path + "1.2.840.10008.1.2.4.91&lossy-quality=a"
        self.assertIn("lossy-quality", self._refused("GET", quality))
        self.assertIn("nope", self._refused("GET", path + "nope"))

    def test_lost_file(self):
        """An instance whose file is lost is a 404, and the rest is there."""
        (instance,) = self.server.ask("GET", "/instances").json()
        self.server.storage.files.clear()
        for path in ("tags", "header", "content/0010-0010", "module"):
            self._refused("GET", f"/instances/{instance}/{path}", status=404)
        self.assertEqual(self.server.ask("GET", f"/instances/{instance}").status, 200)


class QueryTests(SynchronousTestCase):
    def test_arguments(self):
        """Names stand alone, repeat, and are decoded; semicolons separate nothing."""
        found = query_arguments(b"expand&a=1&a=2&b=x;y&c=%C3%A9+z&&=v&d==")
        self.assertEqual(
            found,
            {
                b"expand": [b""],
                b"a": [b"1", b"2"],
                b"b": [b"x;y"],
                b"c": [b"\xc3\xa9 z"],
                b"": [b"v"],
                b"d": [b"="],
            },
        )

    def test_many(self):
        """A query string of many arguments costs no more than its limit."""
        self.assertLessEqual(len(query_arguments(b"&".join(b"%d" % n for n in range(5000)))), 1000)
