"""Pictures, frames and arrays over HTTP; the worker is a call."""

from __future__ import annotations

import gzip
import io
import os

import numpy
from PIL import Image
from twisted.internet.defer import fail, succeed
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.app.images import image_routes
from orthanc_tw.core.images import task
from orthanc_tw.core.instances import Instances
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.testing.requests import InMemorySite, Routes
from tests.dicom.images.support import DATA, image_file
from tests.rest.browsing import Server, in_thread

CT = "test_files/CT_small.dcm"
DOSE = "test_files/rtdose.dcm"
PLAN = "test_files/rtplan.dcm"
TWO_FRAMES = "test_files/SC_rgb_rle_2frame.dcm"


class ImageRouteTests(SynchronousTestCase):
    """``/instances/{id}/...`` of `image_routes`."""

    def setUp(self) -> None:
        self.server = Server()
        self.failure: Exception | None = None
        self.targets: list[str] = []
        storage = self.server.storage
        instances = Instances(self.server.index, self.server.documents)
        providers = image_routes(
            self.server.index, instances, storage, self.run_task, in_thread, Streamer(in_thread)
        )
        routes = [route for provider in providers for route in provider.routes()]
        self.site = InMemorySite(Routes(*routes), storage=storage)

    def run_task(self, function, args=(), *, deadline_s=None):
        """`WorkerPool.run`, here and now."""
        self.targets.append(args[-1])
        if self.failure is not None:
            return fail(self.failure)
        module, _, name = function.partition(":")
        try:
            return succeed(namedAny(f"{module}.{name}")(*args))
        except OrthancError as error:
            return fail(error)

    def get(self, name: str, path: str, **headers: str):
        instance = self.server.upload(name)["ID"]
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.site.ask("GET", f"/instances/{instance}/{path}", headers=sent)

    def assert_bare(self, answer, status: int) -> None:
        self.assertEqual((answer.status, answer.body), (status, b""))
        self.assertNotIn("content-type", answer.headers)

    def test_preview(self) -> None:
        """A preview is a PNG, stretched to all grey levels."""
        answer = self.get(CT, "preview")
        self.assertEqual(answer.headers["content-type"], "image/png")
        picture = numpy.asarray(Image.open(io.BytesIO(answer.body)))
        self.assertEqual((picture.shape, picture.min(), picture.max()), ((128, 128), 0, 255))

    def test_large_pictures(self) -> None:
        """A picture that is too long for the pipe is the same, and leaves no file."""
        expected = self.get(CT, "image-uint16").body
        self.patch(task, "MAX_PIPE_BYTES", 100)
        answer = self.get(CT, "image-uint16")
        self.assertEqual(answer.body, expected)
        self.assertEqual(answer.headers["content-type"], "image/png")
        self.assertEqual([os.path.exists(target) for target in self.targets], [False, False])

    def test_media_types(self) -> None:
        """The picture is of the type that the client likes best; of none it likes, 404."""
        for accept, expected in (
            ("image/jpeg", "image/jpeg"),
            ("image/x-portable-arbitrarymap", "image/x-portable-arbitrarymap"),
            ("image/jpeg;q=0.5, image/png", "image/png"),
            ("image/jpeg, image/png;q=0.5", "image/jpeg"),
            ("text/html, */*;q=0.1", "image/png"),
        ):
            answer = self.get(CT, "preview", Accept=accept)
            self.assertEqual(answer.headers["content-type"], expected)
        for accept in ("text/html", "image/gif", ""):
            self.assert_bare(self.get(CT, "preview", Accept=accept), 404)
        self.assert_bare(self.get(CT, "image-int16", Accept="image/jpeg"), 404)

    def test_rendered(self) -> None:
        """The arguments of ``/rendered`` reach the picture; bad ones are 404."""
        answer = self.get(CT, "rendered?width=20&window-center=100&window-width=50&smooth=1")
        self.assertEqual(Image.open(io.BytesIO(answer.body)).size, (20, 20))
        for bad in ("width=-1", "height=a", "window-width=a", "window-center=nan"):
            self.assert_bare(self.get(CT, f"rendered?{bad}"), 404)

    def test_what_cannot_be_shown(self) -> None:
        """415 without a body, or a redirect to a picture that says so."""
        for name, path in (
            (DOSE, "preview"),
            (PLAN, "rendered"),
            (TWO_FRAMES, "image-uint8"),
            (CT, "frames/1/preview"),
            (CT, "frames/-1/preview"),
        ):
            self.assert_bare(self.get(name, path), 415)
        for quality in ("0", "101", "a"):
            self.assert_bare(self.get(CT, f"preview?quality={quality}", Accept="image/jpeg"), 415)
        for path, location in (
            ("preview", "../../app/images/unsupported.png"),
            ("frames/0/preview", "../../../../app/images/unsupported.png"),
        ):
            answer = self.get(PLAN, f"{path}?returnUnsupportedImage")
            self.assertEqual((answer.status, answer.headers["location"]), (307, location))

    def test_unknown(self) -> None:
        """Unknown instances and frames that are no number are 404 without a body."""
        self.assert_bare(self.site.ask("GET", "/instances/11111111/preview"), 404)
        self.assert_bare(self.get(CT, "frames/a/preview"), 404)

    def test_worker_fails(self) -> None:
        """An error of the server is no error of the image, and leaves no file."""
        self.failure = OrthancError(ErrorCode.TIMEOUT, "A task took more than 1 seconds")
        for path in ("preview", "numpy", "matlab"):
            answer = self.get(CT, path)
            self.assertEqual(answer.status, ErrorCode.TIMEOUT.http_status)
            self.assertEqual(answer.json()["OrthancStatus"], int(ErrorCode.TIMEOUT))
        self.assertEqual([os.path.exists(target) for target in self.targets], [False] * 3)

    def test_frames(self) -> None:
        """The numbers of the frames, and what each has."""
        self.assertEqual(self.get(DOSE, "frames").json(), list(range(15)))
        self.assertEqual(self.get(PLAN, "frames").json(), [0])
        self.assertIn("raw.gz", self.get(CT, "frames/0").json())

    def test_raw(self) -> None:
        """A frame as it is stored, compressed or not; errors name what is wrong."""
        expected = b"".join(image_file(DOSE).stored(14))
        self.assertEqual(self.get(DOSE, "frames/14/raw").body, expected)
        answer = self.get(DOSE, "frames/14/raw.gz")
        self.assertEqual(answer.headers["content-type"], "application/gzip")
        self.assertEqual(gzip.decompress(answer.body), expected)
        for frame in ("15", "-1", "a"):
            answer = self.get(DOSE, f"frames/{frame}/raw")
            self.assertEqual((answer.status, answer.json()["OrthancStatus"]), (400, 3))
        self.assertIn("pixel data", self.get(PLAN, "frames/0/raw").json()["Details"])

    def test_numpy(self) -> None:
        """Arrays of an instance, of a frame, of a series; as they are stored, and in a ZIP."""
        array = numpy.load(io.BytesIO(self.get(CT, "numpy").body))
        self.assertEqual((array.shape, array.min()), ((1, 128, 128, 1), -896.0))
        stored = numpy.load(io.BytesIO(self.get(CT, "frames/0/numpy?rescale=false").body))
        self.assertEqual((stored.shape, stored.min()), ((128, 128, 1), 128))
        series = self.server.upload(CT)["ParentSeries"]
        answer = self.site.ask("GET", f"/series/{series}/numpy?compress")
        numpy.testing.assert_array_equal(numpy.load(io.BytesIO(answer.body))["arr_0"], array)
        self.assertEqual(len(numpy.load(io.BytesIO(self.get(TWO_FRAMES, "numpy").body))), 2)
        self.assertIn('"rescale"', self.get(CT, "numpy?rescale=x").json()["Details"])
        self.assertEqual(self.get(PLAN, "numpy").status, 500)

    def test_series_of_different_images(self) -> None:
        """Images of different sizes make no array."""
        folder = self.mktemp()
        os.mkdir(folder)
        base = os.path.join(folder, "array")
        sources = [(str(DATA / name), 1) for name in (CT, "test_files/MR_small.dcm")]
        error = self.assertRaises(
            OrthancError, task.numpy_file, sources, folder, None, True, False, base
        )
        self.assertEqual(error.code, ErrorCode.INCOMPATIBLE_IMAGE_SIZE)

    def test_matlab(self) -> None:
        """Text that Matlab makes a matrix of."""
        answer = self.get("test_files/SC_rgb_small_odd.dcm", "matlab")
        self.assertEqual(answer.headers["content-type"], "text/plain")
        self.assertTrue(answer.body.endswith(b" ], [ 3 3 3 ]), [ 3 2 1 ]))"))
        self.assertEqual(self.get(CT, "frames/99/matlab").status, 500)
