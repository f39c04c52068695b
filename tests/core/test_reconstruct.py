"""Reconstruction of the index from files, over index, storage and routes in memory."""

import io

import pydicom
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.levels import ResourceType
from tests.rest.browsing import DATA, Server

EXTRA = {
    "ExtraMainDicomTags": {
        "Patient": ["PatientComments"],
        "Study": ["StudyID", "PatientWeight", "ProcedureCodeSequence"],
        "Series": ["SliceThickness"],
        "Instance": ["Rows", "ReferencedImageSequence"],
    }
}
FILES = (
    "test_files/CT_small.dcm",
    "test_files/MR_small.dcm",
    "test_files/JPEG2000.dcm",
    "test_files/dicomdirtests/77654033/CT2/17106",
    "test_files/dicomdirtests/77654033/CT2/17136",
    "test_files/dicomdirtests/77654033/CT2/17166",
    "test_files/dicomdirtests/77654033/CR1/6154",
    "test_files/dicomdirtests/98892003/MR1/4919",
    "test_files/dicomdirtests/98892003/MR2/6273",
)


def variant(**changes):
    """CT_small with other values, and a UID of its own."""
    dataset = pydicom.dcmread(DATA / FILES[0])
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    target = io.BytesIO()
    dataset.save_as(target)
    return target.getvalue()


def state(server):
    """All that the API tells of all resources, without what belongs to the moment."""
    found = {}
    for level in ResourceType:
        listed = server.ask("GET", f"/{level.plural}?expand").json()
        for resource in listed:
            path = f"/{level.plural}/{resource['ID']}"
            metadata = server.ask("GET", f"{path}/metadata?expand").json()
            found[path] = {**resource, "all": metadata}
    return found


class ReconstructTests(SynchronousTestCase):
    """A server whose files came under one configuration, and that runs under another."""

    def setUp(self):
        self.before = Server()
        self.uploaded = [self.before.upload(name) for name in FILES]

    def restarted(self, configuration=EXTRA, **how):
        """The same data under another configuration."""
        return Server(configuration, index=self.before.index, storage=self.before.storage, **how)

    def post(self, server, path, body=b"", status=200):
        """Reconstruct."""
        answer = server.ask("POST", path, body)
        self.assertEqual(answer.status, status, answer.body)
        return answer

    def fresh(self, configuration=EXTRA):
        """A server that received the same files under the other configuration."""
        server = Server(configuration)
        for name in FILES:
            server.upload(name)
        return server

    def test_as_if_received_again(self):
        """Everything is as in a server that had that configuration from the start."""
        for per_slice in (None, 1, 3):
            server = self.restarted(per_slice=per_slice)
            self.post(server, "/tools/reconstruct")
            self.assertEqual(state(server), state(self.fresh()))
            # And back
            server = self.restarted({}, per_slice=per_slice)
            self.post(server, "/tools/reconstruct", {})
            self.assertEqual(state(server), state(self.fresh({})))

    def test_same_configuration(self):
        """Nothing changes, and nothing is written."""
        before = state(self.before)
        running = Deferred.fromCoroutine(self.before.reconstructor.everything())
        done = self.successResultOf(running)
        self.assertEqual((done.changed, done.failed), (0, 0))
        self.assertEqual(done.done, len(before))
        self.assertEqual(state(self.before), before)

    def test_new_tags_are_shown_and_found(self):
        """A configured tag is listed with the study and answers queries, once reconstructed."""
        server = self.restarted({**EXTRA, "StorageAccessOnFind": "Never"})
        study = self.uploaded[0]["ParentStudy"]
        shown = server.ask("GET", f"/studies/{study}").json()["MainDicomTags"]
        self.assertNotIn("PatientWeight", shown)
        query = {"Level": "Study", "Query": {"PatientWeight": "0.000000"}}
        self.assertEqual(server.ask("POST", "/tools/find", query).json(), [])
        self.post(server, "/tools/reconstruct")
        listed = {item["ID"]: item for item in server.ask("GET", "/studies?expand").json()}
        self.assertEqual(listed[study]["MainDicomTags"]["PatientWeight"], "0.000000")
        self.assertIn(study, server.ask("POST", "/tools/find", query).json())

    def test_each_level(self):
        """A resource brings all below and above it up to date, and no other."""
        fresh = state(self.fresh())
        one = self.uploaded[4]
        for level, key in (
            (ResourceType.PATIENT, "ParentPatient"),
            (ResourceType.STUDY, "ParentStudy"),
            (ResourceType.SERIES, "ParentSeries"),
            (ResourceType.INSTANCE, "ID"),
        ):
            self.post(self.restarted({}), "/tools/reconstruct")
            before = state(self.before)
            server = self.restarted(per_slice=2)
            self.post(server, f"/{level.plural}/{one[key]}/reconstruct")
            after = state(server)
            changed = {path for path, shown in after.items() if shown != before[path]}
            self.assertEqual(
                {path: after[path] for path in changed}, {p: fresh[p] for p in changed}
            )
            family = self._family(server, level, one[key])
            self.assertEqual(changed, family)

    def _family(self, server, level, public_id):
        index = server.index
        row = index.read_now(lambda tx: tx.lookup(public_id, level))
        rows = [row, *index.read_now(lambda tx: tx.ancestors(row))]
        for below in ResourceType:
            rows += index.read_now(lambda tx, below=below: tx.descendants(row, below))
        return {f"/{one.level.plural}/{one.public_id}" for one in rows}

    def test_this_level_only(self):
        """The resource alone."""
        before = state(self.before)
        server = self.restarted()
        study = self.uploaded[4]["ParentStudy"]
        path = f"/studies/{study}"
        self.post(server, f"{path}/reconstruct", {"LimitToThisLevelMainDicomTags": True})
        after = state(server)
        self.assertEqual({p for p in after if after[p] != before[p]}, {path})
        self.assertEqual(after[path], state(self.fresh())[path])

    def test_first_received_speaks(self):
        """Of instances that disagree about their study, the one received first decides."""
        uid = pydicom.dcmread(DATA / FILES[0]).SOPInstanceUID
        server = Server()
        for number, name in enumerate(("one", "two", "three", "four")):
            data = variant(SOPInstanceUID=f"{uid}.{number}", StudyDescription=name)
            study = server.ask("POST", "/instances", data).json()["ParentStudy"]
        path = f"/studies/{study}"

        def description():
            return server.ask("GET", path).json()["MainDicomTags"]["StudyDescription"]

        self.assertEqual(description(), "one")
        self.post(server, f"{path}/reconstruct")
        self.assertEqual(description(), "one")
        first = server.ask("POST", "/tools/lookup", f"{uid}.0").json()[0]["ID"]
        server.ask("DELETE", f"/instances/{first}")
        self.post(server, f"{path}/reconstruct", {"LimitToThisLevelMainDicomTags": True})
        self.assertEqual(description(), "two")

    def test_what_is_the_users_stays(self):
        """Metadata, labels and attachments of users, and where an instance came from."""
        study, instance = self.uploaded[0]["ParentStudy"], self.uploaded[0]["ID"]
        ask = self.before.ask
        ask("PUT", f"/studies/{study}/metadata/1024", "mine")
        ask("PUT", f"/studies/{study}/labels/label", "")
        ask("PUT", f"/studies/{study}/attachments/1025", b"attached")
        before = state(self.before)
        self.post(self.restarted(), "/tools/reconstruct")
        after = state(self.restarted())
        shown = after[f"/studies/{study}"]
        self.assertEqual(shown["all"]["1024"], "mine")
        self.assertEqual(shown["Labels"], ["label"])
        self.assertEqual(ask("GET", f"/studies/{study}/attachments/1025/data").body, b"attached")
        path = f"/instances/{instance}"
        for name in ("ReceptionDate", "RemoteIP", "Origin", "HttpUsername", "LastUpdate"):
            self.assertEqual(after[path]["all"].get(name), before[path]["all"].get(name))

    def test_default_encoding(self):
        """Text is decoded by the encoding of now."""
        data = variant(SpecificCharacterSet="ISO_IR 100", StudyDescription="Épaule")
        data = data.replace(b"ISO_IR 100", b"          ")
        server = Server({"DefaultEncoding": "Cyrillic"})
        study = server.ask("POST", "/instances", data).json()["ParentStudy"]

        def description():
            return server.ask("GET", f"/studies/{study}").json()["MainDicomTags"][
                "StudyDescription"
            ]

        self.assertNotEqual(description(), "Épaule")
        server.ask("PUT", "/tools/default-encoding", "Latin1")
        self.post(server, f"/studies/{study}/reconstruct")
        self.assertEqual(description(), "Épaule")

    def test_lost_file(self):
        """A file that is gone is told in the end; all others are done."""
        server = self.restarted()
        lost = self.uploaded[5]["ID"]
        row = server.index.read_now(lambda tx: tx.lookup(lost, ResourceType.INSTANCE))
        (file,) = server.index.read_now(lambda tx: tx.attachments(row.internal_id))
        del server.storage.files[file.uuid]
        answer = self.post(server, "/tools/reconstruct", status=404)
        self.assertEqual(
            answer.json()["Details"],
            f"1 resources cannot be read from their files, the first is the instance {lost}",
        )
        fresh = state(self.fresh())
        after = state(server)
        self.assertEqual({p for p in after if after[p] != fresh[p]}, {f"/instances/{lost}"})

    def test_bad_input(self):
        """Unknown resources, bodies that are no object, fields that are not honoured."""
        server = self.before
        study = f"/studies/{self.uploaded[0]['ParentStudy']}/reconstruct"
        self.post(server, "/studies/nope/reconstruct", status=404)
        for path in (study, "/tools/reconstruct"):
            self.post(server, path, b"[]", status=400)
            self.post(server, path, b"{", status=400)
            answer = self.post(server, path, {"ReconstructFiles": "x"}, status=400)
            self.assertIn("ReconstructFiles", answer.json()["Details"])
            self.post(server, path, {"ReconstructFiles": False})
        answer = self.post(server, study, {"LimitToThisLevelMainDicomTags": "x"}, status=400)
        self.assertIn("LimitToThisLevelMainDicomTags", answer.json()["Details"])

    def test_deleted_meanwhile(self):
        """A resource that goes while its file is read is left alone."""
        server = self.restarted()
        rows = server.index.read_now(lambda tx: tx.page(ResourceType.INSTANCE))
        read = server.reconstructor._read

        def read_and_delete(sources):
            found = read(sources)
            for row in rows[:3]:
                server.ask("DELETE", f"/instances/{row.public_id}")
            return found

        server.reconstructor._read = read_and_delete
        self.post(server, "/tools/reconstruct")
        for row in rows[:3]:
            self.assertEqual(server.ask("GET", f"/instances/{row.public_id}").status, 404)
