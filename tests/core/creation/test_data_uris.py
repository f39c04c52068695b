"""JSON with large data URIs."""

import base64
import json
import os

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.creation.data_uris import DataUri, LargeJson
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.testing.memory_storage import MemoryStorage

DATA = bytes(range(256)) * 1024  # larger than what is read ahead, and than a piece
TEXT = base64.b64encode(DATA).decode()


def read(body, **options):
    """The value of a body."""
    storage = MemoryStorage()
    spool = storage.new_spool()
    spool.write(body)
    return LargeJson(spool, storage.new_spool, **options).read()


def content(uri):
    """The bytes of a URI."""
    with uri.spool.reader() as file:
        return file.read()


class LargeJsonTests(SynchronousTestCase):
    """The reader."""

    def assert_refused(self, body, code=ErrorCode.BAD_REQUEST, **options):
        with self.assertRaises(OrthancError) as caught:
            read(body, **options)
        self.assertIs(caught.exception.code, code)

    def test_large_uri(self):
        """It becomes a spool, at any depth and in order; its type is in lower case."""
        body = {"a": [f"data:Image/PNG;base64,{TEXT}"], "b": "data:x/y;base64,YQ==", "c": 1}
        body["d"] = {"e": f"data:application/pdf;name=x;base64,{TEXT[:100_000]}"}
        value = read(json.dumps(body).encode())
        self.assertEqual(value["a"][0].mime, "image/png")
        self.assertEqual(content(value["a"][0]), DATA)
        self.assertEqual((value["b"], value["c"]), ("data:x/y;base64,YQ==", 1))
        self.assertEqual(value["d"]["e"].mime, "application/pdf")
        self.assertEqual(content(value["d"]["e"]), DATA[:75_000])
        self.assertEqual(value["a"][0].text(), body["a"][0])

    def test_escapes(self):
        r"""``\/`` and ``\u002B`` are what they stand for, wherever pieces end."""
        text = TEXT.replace("/", "\\/").replace("+", "\\u002B")
        for shift in range(8):
            body = f'{" " * shift}{{"a":"data:application\\/pdf;base64,{text}"}}'
            value = read(body.encode())
            self.assertEqual(value["a"].mime, "application/pdf")
            self.assertEqual(content(value["a"]), DATA)

    def test_white_space(self):
        """Lines of base64 are put together."""
        lines = base64.encodebytes(DATA).decode()
        value = read(json.dumps({"a": f"data:x/y;base64,{lines}"}).encode())
        self.assertEqual(content(value["a"]), DATA)

    def test_without_padding(self):
        """A URI need not be padded."""
        value = read(b'["data:x/y;base64,' + TEXT.rstrip("=").encode() + b'"]')
        self.assertEqual(content(value[0]), DATA)

    def test_not_base64(self):
        """Characters, padding or lengths that base64 does not have."""
        for bad in ("*" + TEXT, TEXT[:99_998] + "==" + TEXT, TEXT[:99_997]):
            body = json.dumps([f"data:x/y;base64,{bad}"]).encode()
            self.assert_refused(body, ErrorCode.BAD_FILE_FORMAT)

    def test_cut_off(self):
        """A body that ends amid a URI."""
        self.assert_refused(b'["data:x/y;base64,' + TEXT.encode())

    def test_no_constants(self):
        """What stands for a URI while the body is parsed cannot be forged."""
        for body in (b'{"a": NaN}', b"[Infinity]", b"[-Infinity]"):
            self.assert_refused(body)
        uri = f'"data:x/y;base64,{TEXT}"'.encode()
        self.assert_refused(b"[" + uri + b", NaN]")
        self.assert_refused(b"{" + uri + b": 1}")

    def test_limit(self):
        """What is no large URI is limited."""
        body = b'["' + b"x" * 5000 + b'"]'
        self.assertEqual(len(read(body)[0]), 5000)
        with self.assertRaises(OrthancError) as caught:
            read(body, limit_bytes=1000)
        self.assertEqual(caught.exception.http_status, 413)

    def test_too_deep(self):
        """Nesting that the parser cannot follow is the client's mistake."""
        self.assert_refused(b"[" * 200_000)

    def test_byte_order_mark(self):
        """A mark before the body is skipped."""
        self.assertEqual(read(b"\xef\xbb\xbf[1]"), [1])

    @settings(max_examples=60, derandomize=True)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
        st.booleans(),
    )
    def test_any_json(self, value, ascii_only):
        """Without large URIs it is a JSON parser like any other."""
        body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        try:
            body.decode()
        except UnicodeDecodeError:
            return
        self.assertEqual(read(body), json.loads(body))

    def test_random_lengths(self):
        """Every length around that of a piece comes back."""
        for length in range(196_500, 196_700, 7):
            data = os.urandom(length)
            body = json.dumps([f"data:a/b;base64,{base64.b64encode(data).decode()}"]).encode()
            value = read(body)
            self.assertIsInstance(value[0], DataUri)
            self.assertEqual(content(value[0]), data)
