"""``POST /tools/create-dicom`` and ``/instances/{id}/pdf``, beyond the recordings of topic 27."""

import json
import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path

from PIL import Image
from twisted.internet.defer import fail
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from orthanc_tw.dicom.creation import images
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.core.creation.server import PDF, CreationServer, encoded, gradient, uri

# Values that the IODs ask for and that only a client can know
COMPLETE = {
    "PatientName": "Doe^Jane",
    "PatientID": "P1",
    "PatientBirthDate": "19700101",
    "PatientSex": "F",
    "AccessionNumber": "1",
    "ReferringPhysicianName": "",
    "StudyID": "1",
    "SeriesNumber": "1",
    "InstanceNumber": "1",
    "Manufacturer": "us",
    "BurnedInAnnotation": "NO",
    "DocumentTitle": "Letter",
    "ConceptNameCodeSequence": [],
    "AcquisitionDateTime": "",
}


class CreateTests(SynchronousTestCase):
    """A server in memory."""

    def setUp(self):
        self.server = CreationServer()

    def created(self, body, headers=None):
        """The data set that a body makes."""
        answer = self.server.post(body, headers)
        self.assertEqual(answer.status, 200, answer.body)
        return self.server.dataset(answer)

    def refused(self, body, code, details=None, status=400, headers=None):
        """A body is refused, and nothing is stored."""
        answer = self.server.post(body, headers)
        self.assertEqual((answer.status, answer.json()["OrthancStatus"]), (status, code.value))
        if details is not None:
            self.assertIn(details, answer.json()["Details"])

    def test_pdf_byte_for_byte(self):
        """A document comes back as it was, whatever its length and its last byte."""
        for document in (PDF, PDF + b"\n", PDF + b"\0", PDF + b"\0\0", PDF * 40_000):
            answer = self.server.post({"Tags": {}, "Content": uri("application/pdf", document)})
            path = f"/instances/{answer.json()['ID']}/pdf"
            got = self.server.site.ask("GET", path)
            self.assertEqual(got.headers["content-type"], "application/pdf")
            self.assertEqual(got.body, document)

    def test_no_pdf(self):
        """An instance without a document: 404, no body."""
        answer = self.server.post({"Tags": {"PatientID": "x"}})
        got = self.server.site.ask("GET", f"/instances/{answer.json()['ID']}/pdf")
        self.assertEqual((got.status, got.body), (404, b""))

    def test_content_type_of_curl(self):
        """A body that calls itself a form of fields, as ``curl -d @-`` does, is JSON."""
        body = {"Tags": {"PatientID": "curl"}}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self.assertEqual(self.created(body, headers).PatientID, "curl")

    def test_form(self):
        """A multipart form has the fields of the JSON body, and files as they are."""
        parts = [
            ('name="Tags"', "", b'{"PatientID": "form"}'),
            ('name="Encapsulate"', "", b"false"),
            ('name="Content"; filename="a.pdf"', "Content-Type: application/pdf\r\n", PDF),
        ]
        answer = self.server.post(*form(parts))
        self.assertEqual(answer.status, 200, answer.body)
        dataset = self.server.dataset(answer)
        self.assertEqual(dataset.PatientID, "form")
        self.assertEqual(dataset.EncapsulatedDocument[: len(PDF)], PDF)

    def test_form_files_make_a_series(self):
        """Several files are a series; one without a type is known by its extension."""
        part = ('name="Content"; filename="a.STL"', "", b"solid x\n")
        answer = self.server.post(*form([part, part]))
        datasets = self.server.series(answer.json()["ID"])
        self.assertEqual([d.MIMETypeOfEncapsulatedDocument for d in datasets], ["model/stl"] * 2)

    def test_form_with_unknown_field(self):
        """A field that means nothing is refused by its name."""
        body, headers = form([('name="Nope"', "", b"")])
        self.refused(body, ErrorCode.BAD_REQUEST, "Nope", headers=headers)

    def test_images(self):
        """PNG images of all kinds have the pixels that Pillow reads."""
        sixteen = Image.frombytes("I;16", (5, 3), bytes(range(30)))
        for image, expected in (
            (gradient("L"), gradient("L")),
            (gradient("RGB"), gradient("RGB")),
            (gradient("RGBA"), gradient("RGBA").convert("RGB")),
            (sixteen, sixteen),
            (gradient("RGB").quantize(4), gradient("RGB").quantize(4).convert("RGB")),
            (gradient("L").convert("1"), gradient("L").convert("1").convert("L")),
        ):
            content = uri("image/png", encoded(image))
            dataset = self.created({"Tags": {}, "Content": content})
            self.assertEqual((dataset.Rows, dataset.Columns), (3, 5))
            pixels = expected.tobytes()
            self.assertEqual(dataset.PixelData[: len(pixels)], pixels, image.mode)
            self.assertEqual(dataset.pixel_array.tobytes(), pixels)

    def test_encapsulated_jpeg(self):
        """A JPEG image is kept byte for byte, and says how its colours are sampled."""
        for subsampling, photometric in ((0, "YBR_FULL"), (2, "YBR_FULL_422")):
            jpeg = encoded(gradient("RGB", (32, 32)), "JPEG", subsampling=subsampling)
            body = {"Tags": {}, "Content": uri("image/jpeg", jpeg), "Encapsulate": True}
            dataset = self.created(body)
            self.assertEqual(dataset.PhotometricInterpretation, photometric)
            self.assertIn(jpeg, dataset.PixelData)
            self.assertEqual(dataset.pixel_array.shape, (32, 32, 3))

    def test_progressive_jpeg_is_not_encapsulated(self):
        """DICOM has no transfer syntax for it."""
        jpeg = encoded(gradient("L", (32, 32)), "JPEG", progressive=True)
        body = {"Tags": {}, "Content": uri("image/jpeg", jpeg), "Encapsulate": True}
        self.refused(body, ErrorCode.NOT_IMPLEMENTED)

    def test_too_large_an_image(self):
        """What an image says of its size is looked at before its pixels are decoded."""
        png = bytearray(encoded(gradient()))
        png[16:24] = (60_000).to_bytes(4, "big") * 2
        png[29:33] = zlib.crc32(bytes(png[12:29])).to_bytes(4, "big")
        body = {"Tags": {}, "Content": uri("image/png", bytes(png))}
        self.refused(body, ErrorCode.BAD_FILE_FORMAT, "too large")

    def test_broken_images(self):
        """Images that are cut off, empty or of another kind are refused, and leave no file."""
        image = gradient(size=(64, 64))
        png, jpeg = encoded(image), encoded(image, "JPEG")
        for mime, data in (
            ("image/png", png[: len(png) // 2]),
            ("image/png", b""),
            ("image/png", jpeg),
            ("image/jpeg", jpeg[: len(jpeg) // 2]),
            ("image/jpeg", png),
        ):
            body = {"Tags": {}, "Content": uri(mime, data)}
            self.refused(body, ErrorCode.BAD_FILE_FORMAT)

    def test_worker_that_dies(self):
        """What the pool says is answered, and the server goes on."""
        error = OrthancError(ErrorCode.NOT_ENOUGH_MEMORY)
        self.server = CreationServer(run=lambda function, args: fail(error))
        body = {"Tags": {}, "Content": uri("image/png", encoded(gradient()))}
        self.assertEqual(self.server.post(body).json()["OrthancStatus"], error.code.value)
        self.assertEqual(self.created({"Tags": {"PatientID": "on"}}).PatientID, "on")

    def test_series(self):
        """A list of contents is one series, with a number for each instance."""
        content = uri("image/png", encoded(gradient()))
        item = {"Content": content, "Tags": {"ImageComments": "second"}}
        answer = self.server.post({"Tags": {"PatientID": "S"}, "Content": [content, item]})
        datasets = self.server.series(answer.json()["ID"])
        self.assertEqual([int(d.InstanceNumber) for d in datasets], [1, 2])
        self.assertEqual(len({d.SOPInstanceUID for d in datasets}), 2)
        self.assertEqual(len({d.SeriesInstanceUID for d in datasets}), 1)
        self.assertEqual(datasets[1].ImageComments, "second")

    def test_items_stay_in_the_series(self):
        """An item cannot have a patient of its own."""
        item = {"Content": uri("application/pdf", PDF), "Tags": {"PatientID": "other"}}
        body = {"Tags": {"PatientID": "S"}, "Content": [item]}
        self.refused(body, ErrorCode.CREATE_DICOM_OVERRIDE_TAG, "PatientID")

    def test_private_element(self):
        """It gets its VR of the dictionary, and the element that reserves its block."""
        dataset = self.created({"Tags": {"MyDate": "20200102"}, "PrivateCreator": "Mine"})
        self.assertEqual(dataset[0x4321, 0x0010].value, "Mine")
        self.assertEqual(dataset[0x4321, 0x1012].VR, "DA")

    def test_parent(self):
        """Patient and study come from the parent, sequences too; what is the child's is new."""
        reference = [{"ReferencedSOPInstanceUID": "1.2.3"}]
        tags = {"PatientID": "P", "PatientName": "Ü^x", "ReferencedStudySequence": reference}
        first = self.server.post({"Tags": {**tags, "SeriesDescription": "one"}})
        parent = first.json()["ParentStudy"]
        child = self.created({"Parent": parent, "Tags": {"SeriesDescription": "two"}})
        self.assertEqual(child.PatientName, "Ü^x")
        self.assertEqual(child.ReferencedStudySequence[0].ReferencedSOPInstanceUID, "1.2.3")
        self.assertEqual(child.SeriesDescription, "two")
        self.assertEqual(child.StudyInstanceUID, self.server.dataset(first).StudyInstanceUID)

    def test_other_patient_than_the_parent(self):
        """A child of a study cannot be another patient's, unless forced."""
        parent = self.server.post({"Tags": {"PatientID": "P"}}).json()["ParentStudy"]
        body = {"Parent": parent, "Tags": {"PatientID": "Q"}}
        self.refused(body, ErrorCode.CREATE_DICOM_OVERRIDE_TAG, "PatientID")
        self.assertEqual(self.created({**body, "Force": True}).PatientID, "Q")
        self.assertEqual(
            self.created({"Parent": parent, "Tags": {"PatientID": "P"}}).PatientID, "P"
        )

    def test_large_binary_tag(self):
        """A data URI of any length in a tag stands for its bytes, or for itself."""
        value = uri("application/octet-stream", b"text " * 50_000)
        body = {"Tags": {"TextValue": value}}
        self.assertEqual(self.created(body).TextValue, ("text " * 50_000).rstrip())
        body["InterpretBinaryTags"] = False
        self.assertEqual(self.created(body).TextValue, value)

    def test_spools_are_discarded(self):
        """Nothing is left in the spool folder, after a success or a refusal."""
        spools = []
        new_spool = self.server.storage.new_spool

        def counted():
            spools.append(new_spool())
            return spools[-1]

        self.server.storage.new_spool = counted
        content = uri("application/pdf", PDF * 5000)
        self.server.post({"Tags": {}, "Content": content})
        self.server.post({"Tags": {"Nope": "x"}, "Content": content})
        self.assertGreaterEqual(len(spools), 3)
        self.assertTrue(all(spool.discarded for spool in spools))

    def test_bad_fields(self):
        """Fields of the wrong type are named."""
        for field in ("Force", "Encapsulate", "InterpretBinaryTags"):
            self.refused({"Tags": {}, field: "x"}, ErrorCode.BAD_REQUEST, field)
        self.refused({"Tags": {}, "PrivateCreator": 1}, ErrorCode.BAD_REQUEST, "PrivateCreator")

    def test_content_that_is_none(self):
        """Only null and an empty list stand for no content."""
        for content in (None, []):
            self.assertEqual(self.server.post({"Tags": {}, "Content": content}).status, 200)
        self.refused({"Tags": {}, "Content": ""}, ErrorCode.BAD_FILE_FORMAT, None)
        for content in (0, False, {}):
            self.refused(
                {"Tags": {}, "Content": content}, ErrorCode.CREATE_DICOM_USE_DATA_URI_SCHEME, None
            )

    def test_latin1_body(self):
        """PowerShell sends text in Latin-1 unless it is told otherwise."""
        body = json.dumps({"Tags": {"PatientName": "é"}}, ensure_ascii=False).encode("latin-1")
        self.assertEqual(self.created(body).PatientName, "é")


class ToolTests(SynchronousTestCase):
    """What is created, as other programs see it."""

    def setUp(self):
        self.server = CreationServer()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def run_tool(self, name, *arguments):
        """Output of a program."""
        path = shutil.which(name)
        if path is None:
            raise SkipTest(f"{name} is not installed")
        command = [path, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout + done.stderr

    def saved(self, body):
        """Path of the file that a body makes."""
        path = self.folder / "created.dcm"
        path.write_bytes(self.server.file(self.server.post(body).json()["ID"]))
        return path

    def assert_conforms(self, body):
        """Given all that only a client can know, dciodvfy finds no error."""
        said = self.run_tool("dciodvfy", self.saved(body))
        self.assertEqual([line for line in said.splitlines() if line.startswith("Error")], [])

    def test_pdf(self):
        """dcm2pdf and pdftotext read the text of a document; dciodvfy finds no error."""
        document = readable_pdf("Hello DICOM")
        body = {"Tags": COMPLETE, "Content": uri("application/pdf", document)}
        target = self.folder / "out.pdf"
        self.run_tool("dcm2pdf", self.saved(body), target)
        self.assertIn("Hello DICOM", self.run_tool("pdftotext", target, "-"))
        self.assert_conforms(body)

    def test_image(self):
        """No error, says dciodvfy, in a Secondary Capture image of complete tags."""
        tags = {
            **COMPLETE,
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
            "Modality": "OT",
            "ConversionType": "WSD",
            "PatientOrientation": "",
            "Laterality": "",
        }
        for unused in ("DocumentTitle", "ConceptNameCodeSequence", "AcquisitionDateTime"):
            del tags[unused]
        for image in (gradient("L", (8, 8)), gradient("RGB", (8, 8))):
            self.assert_conforms({"Tags": tags, "Content": uri("image/png", encoded(image))})

    def test_pixels_are_read_by_dcmtk(self):
        """dcmj2pnm reads the pixels of an encapsulated image."""
        jpeg = encoded(gradient("RGB", (16, 16)), "JPEG")
        body = {"Tags": {}, "Content": uri("image/jpeg", jpeg), "Encapsulate": True}
        target = self.folder / "out.ppm"
        self.run_tool("dcmj2pnm", self.saved(body), target)
        self.assertEqual(Image.open(target).size, (16, 16))


def form(parts):
    """Body and headers of a multipart form."""
    body = b"".join(
        b"--x\r\nContent-Disposition: form-data; %b\r\n%b\r\n%b\r\n"
        % (disposition.encode(), header.encode(), data)
        for disposition, header, data in parts
    )
    return body + b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}


def readable_pdf(text):
    """A page with a line of text (ISO 32000-1)."""
    stream = f"BT /F1 18 Tf 20 100 Td ({text}) Tj ET\n".encode()
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%bendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    document, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(document)
    document += b"xref\n0 6\n0000000000 65535 f \n"
    document += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return document + b"trailer\n<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % start


class DecodeTests(SynchronousTestCase):
    """`images.decode`, as a worker calls it."""

    def test_no_file_is_left(self):
        """A refusal leaves no target."""
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in", Path(folder) / "out"
            source.write_bytes(encoded(gradient(size=(64, 64)))[:60])
            with self.assertRaises(OrthancError):
                images.decode(str(source), "image/png", str(target))
            self.assertFalse(target.exists())
