"""Pull and push between two servers in memory, step by step; and the routes."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.jobs.interface import Job, TransientFailure
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType
from orthanc_tw.peers.peer import OrthancPeer
from tests.core.transfers.support import Side, announced, drive, held_commit, query, two_sides


class TransferTests(SynchronousTestCase):
    """Three instances."""

    def setUp(self) -> None:
        self.source, self.target = two_sides(self)
        self.ids = self.source.instances()

    def query(self, **fields: Any) -> dict[str, Any]:
        return query(self.source, **fields)

    def drive(self, job: Job, side: Side, steps: int = 1000) -> None:
        drive(self, job, side, steps)

    def pull(self, **fields: Any) -> Job:
        job = self.target.pull.create(self.query(**fields), None, self.target.context())
        self.drive(job, self.target)
        return job

    def push(self, **fields: Any) -> Job:
        job = self.source.push.create(self.query(**fields), None, self.source.context())
        self.drive(job, self.source)
        return job

    def test_pull(self) -> None:
        """All instances arrive, as they are."""
        for compression in ("none", "gzip"):
            job = self.pull(compression=compression)
            self.assertEqual(self.ids, self.target.instances())
            content = job.content()
            self.assertEqual((3, 8), (content["TotalInstances"], content["CompletedHttpQueries"]))
            for one in self.ids:
                path = f"/instances/{one}/file"
                files = [side.server.ask("GET", path).body for side in (self.source, self.target)]
                self.assertEqual(*files)

    def test_push(self) -> None:
        """All instances arrive; the transaction is closed, and remembered."""
        for compression in ("none", "gzip"):
            self.push(compression=compression)
            self.assertEqual(self.ids, self.target.instances())
            self.assertEqual(0, self.target.transactions.available)

    def test_unreachable(self) -> None:
        """A request that finds no peer is made again; not for ever."""
        self.target.client.lost = 1
        self.pull()
        self.assertEqual(self.ids, self.target.instances())
        self.source.client.lost = 99
        with self.assertRaises(TransientFailure) as caught:
            self.push()
        self.assertIn("other", str(caught.exception.details))

    def test_spoiled(self) -> None:
        """Bytes that change on their way are fetched once more; then nothing is stored."""
        spoiled = []

        def spoil(body: bytes) -> bytes:
            spoiled.append(body)
            return body[:-1] + bytes([body[-1] ^ 1]) if len(spoiled) < 3 else body

        self.target.client.spoil = spoil
        self.pull(compression="none")
        self.assertEqual(self.ids, self.target.instances())

    def test_spoiled_always(self) -> None:
        """Nothing is stored if an instance never has its MD5."""
        self.target.client.spoil = lambda body: body[:-1] + bytes([body[-1] ^ 1])
        with self.assertRaises(OrthancError) as caught:
            self.pull(compression="none")
        self.assertIs(ErrorCode.CORRUPTED_FILE, caught.exception.code)
        self.assertEqual([], self.target.instances())

    def test_too_much(self) -> None:
        """A peer that sends more than was asked for is not listened to."""
        self.target.client.spoil = lambda body: body + b"x"
        with self.assertRaises(OrthancError) as caught:
            self.pull(compression="none")
        self.assertIn("more than", str(caught.exception.details))

    def test_originator(self) -> None:
        """A peer that is not who has asked for the transfer is told apart."""
        self.pull(Originator="me")
        with self.assertRaises(OrthancError) as caught:
            self.pull(Originator="somebody")
        self.assertIn("RemoteSelf", str(caught.exception.details))

    def test_pull_resumed(self) -> None:
        """After a restart what is there already is not fetched again."""
        context = self.target.context()
        job = self.target.pull.create(self.query(), None, context)
        self.drive(job, self.target, steps=3)
        asked = len(self.target.client.asked)
        again = self.target.pull.create(self.query(), job.cursor(), context)
        self.drive(again, self.target)
        self.assertEqual(self.ids, self.target.instances())
        chunks = {path for method, path in self.target.client.asked if method == "GET"}
        self.assertGreater(asked, 2)
        queries = again.content()["CompletedHttpQueries"]
        self.assertEqual(len(self.target.client.asked), asked + queries)
        self.assertTrue(chunks)

    def test_push_resumed(self) -> None:
        """After a restart of both sides the same transaction goes on."""
        context = self.source.context()
        job = self.source.push.create(self.query(), None, context)
        self.drive(job, self.source, steps=3)
        self.target.transactions = self.target.new_transactions()
        self.successResultOf(self.target.transactions.start())
        again = self.source.push.create(self.query(), job.cursor(), context)
        self.drive(again, self.source)
        self.assertEqual(self.ids, self.target.instances())
        begun = [one for one in self.source.client.asked if one == ("POST", "transfers/push")]
        self.assertEqual(1, len(begun))

    def test_push_lost(self) -> None:
        """A transaction that the peer has lost is begun anew."""
        context = self.source.context()
        job = self.source.push.create(self.query(), None, context)
        self.drive(job, self.source, steps=3)
        cursor: Any = job.cursor()
        self.successResultOf(maybeDeferred(self.discard, cursor["Transaction"]))
        again = self.source.push.create(self.query(), cursor, context)
        self.drive(again, self.source)
        self.assertEqual(self.ids, self.target.instances())

    def test_push_interrupted(self) -> None:
        """The peer keeps the transaction if this server stops, not if the job is cancelled."""
        for is_final in (False, True):
            client, context = self.source.client, self.source.context()
            client.asked.clear()
            client.held = "/commit"
            job = self.source.push.create(self.query(), None, context)
            for step in job.steps():
                if not step.called:
                    break
            context.is_final = is_final
            step.cancel()
            self.failureResultOf(step, CancelledError)
            asked = [method for method, _ in client.asked]
            self.assertEqual(is_final, "DELETE" in asked)
            client.held = None

    def test_no_file(self) -> None:
        """An instance whose file is lost is named, and its chunk has no tag."""
        lost = self.ids[1]
        file = self.source.index.read_now(
            lambda tx: tx.attachment_of(ResourceType.INSTANCE, lost, ContentType.DICOM)
        )
        assert file is not None
        self.source.storage.delete([file.uuid])
        for compression in ("none", "gzip"):
            with self.assertRaises(OrthancError) as caught:
                self.push(compression=compression)
            self.assertIs(ErrorCode.INEXISTENT_FILE, caught.exception.code)
            self.assertIn(lost, str(caught.exception.details))
        answer = self.source.site.ask("GET", f"/transfers/chunks/{lost}")
        self.assertEqual((404, False), (answer.status, "etag" in answer.headers))
        self.assertEqual([], self.target.instances())

    def discard(self, transaction: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self.target.transactions.discard(transaction))

    def test_commit_again(self) -> None:
        """A commit may be asked for again, after a restart too, and does nothing more."""
        self.push()
        path = next(one for _, one in self.source.client.asked if one.endswith("/commit"))
        self.assertEqual(200, self.target.site.ask("POST", f"/{path}", b"{}").status)
        self.target.transactions = self.target.new_transactions()
        self.successResultOf(self.target.transactions.start())
        self.assertEqual(200, self.target.site.ask("POST", f"/{path}", b"{}").status)
        self.assertEqual(self.ids, self.target.instances())

    def test_bucket_again(self) -> None:
        """A sender that was killed, and sends a bucket again that is being committed, is content.

        It would fail otherwise, with all instances stored.
        """
        path = self.announce().json()["Path"]
        files = [self.source.server.ask("GET", f"/instances/{one}/file").body for one in self.ids]
        by_size = {len(file): file for file in files}
        for number, size in enumerate(self.announced_sizes()):
            content = by_size[size]
            self.assertEqual(200, self.target.site.ask("PUT", f"{path}/{number}", content).status)
        held, committing = held_commit(self, self.target, path)
        self.assertEqual(200, self.target.site.ask("PUT", f"{path}/2", b"anything").status)
        self.assertEqual(409, self.target.site.ask("DELETE", path).status)
        self.assertNoResult(committing)
        held.callback(None)
        self.successResultOf(committing)
        self.assertEqual(self.ids, self.target.instances())

    def announced_sizes(self) -> list[int]:
        resources = json.dumps(self.query()["Resources"]).encode()
        answer = self.source.site.ask("POST", "/transfers/lookup", resources).json()
        return [int(one["Size"]) for one in answer["Instances"]]

    def announce(self, **fields: Any) -> Any:
        return announced(self.source, self.target, **fields)

    def test_killed_amid_the_end(self) -> None:
        """What a server that was killed has left of a transfer that was stored is removed."""
        self.push()
        (name,) = os.listdir(f"{self.target.folder}/transfers")
        folder = f"{self.target.folder}/transfers/{name}"
        for left in ("instances.data", "committing"):
            with open(f"{folder}/{left}", "wb"):
                pass
        self.target.transactions = self.target.new_transactions()
        self.successResultOf(self.target.transactions.start())
        self.assertEqual(["committed"], os.listdir(folder))

    def test_incomplete(self) -> None:
        """Nothing is stored of a transaction that is not whole."""
        path = self.announce().json()["Path"]
        content = self.source.server.ask("GET", f"/instances/{self.ids[0]}/file").body
        for number in range(3):
            self.target.site.ask("PUT", f"{path}/{number}", content)
        answer = self.target.site.ask("POST", f"{path}/commit", b"{}")
        self.assertEqual((400, 20), (answer.status, answer.json()["OrthancStatus"]))
        self.assertEqual([], self.target.instances())
        self.assertEqual(404, self.target.site.ask("PUT", f"{path}/nope", b"x").status)
        self.assertEqual(404, self.target.site.ask("PUT", f"{path}/3", b"x").status)

    def test_all_or_nothing(self) -> None:
        """What was stored of a transfer is taken back if one instance cannot be; no other."""
        self.target.server.upload("test_files/CT_small.dcm")
        before = self.target.instances()
        wrong = b"no DICOM file"
        extra = {"ID": "x", "Size": str(len(wrong)), "MD5": hashlib.md5(wrong).hexdigest()}
        resources = json.dumps(self.query()["Resources"]).encode()
        instances = self.source.site.ask("POST", "/transfers/lookup", resources).json()["Instances"]
        instances.append(extra)
        buckets = [[{"ID": one["ID"], "Offset": "0", "Size": one["Size"]}] for one in instances]
        path = self.announce(Instances=instances, Buckets=buckets).json()["Path"]
        for number, one in enumerate(instances[:-1]):
            content = self.source.server.ask("GET", f"/instances/{one['ID']}/file").body
            self.assertEqual(200, self.target.site.ask("PUT", f"{path}/{number}", content).status)
        self.assertEqual(200, self.target.site.ask("PUT", f"{path}/3", wrong).status)
        answer = self.target.site.ask("POST", f"{path}/commit", b"{}")
        self.assertEqual(400, answer.status)
        self.assertEqual(before, self.target.instances())

    def test_two_at_once(self) -> None:
        """What a transfer that fails takes back is not what another one was told is there."""
        content = self.source.server.ask("GET", f"/instances/{self.ids[0]}/file").body
        good = {"ID": self.ids[0], "Size": len(content), "MD5": hashlib.md5(content).hexdigest()}
        wrong = {"ID": "x", "Size": 5, "MD5": hashlib.md5(b"wrong").hexdigest()}
        store: Any = self.target.store.store
        held: Deferred[None] = Deferred()

        async def slowly(spool: Any, *args: Any) -> Any:
            if spool.size_bytes == 5:
                await held
            return await store(spool, *args)

        self.patch(self.target.store, "store", slowly)
        commits = []
        for instances in ([good, wrong], [good]):
            buckets = [[{"ID": one["ID"], "Offset": "0", "Size": one["Size"]}] for one in instances]
            path = self.announce(Instances=instances, Buckets=buckets).json()["Path"]
            self.target.site.ask("PUT", f"{path}/0", content)
            self.target.site.ask("PUT", f"{path}/1", b"wrong")
            transaction = path.rpartition("/")[2]
            commits.append(Deferred.fromCoroutine(self.target.transactions.commit(transaction)))
        self.successResultOf(commits[1])
        self.assertNoResult(commits[0])
        held.callback(None)
        self.failureResultOf(commits[0], OrthancError)
        self.assertEqual(self.ids[:1], self.target.instances())

    def test_oldest(self) -> None:
        """The oldest transaction makes room for a new one."""
        first, *others = [self.announce().json()["Path"] for _ in range(3)]
        self.assertEqual(404, self.target.site.ask("POST", f"{first}/commit", b"{}").status)
        self.assertEqual(200, self.target.site.ask("DELETE", others[0]).status)
        self.assertEqual(1, self.target.transactions.available)

    def test_bad_push(self) -> None:
        """What is malformed is refused with the name of its field."""
        for fields, name in (
            ({"Compression": "zip"}, "Compression"),
            ({"Buckets": {}}, "Buckets"),
            ({"Instances": [{"ID": "x"}]}, "Instances.MD5"),
            ({"Instances": [{"ID": "x", "MD5": "x" * 32}]}, "Instances.MD5"),
            ({"Instances": [{"ID": "../x", "MD5": "0" * 32}]}, "Instances.ID"),
        ):
            answer = self.announce(**fields)
            self.assertEqual(400, answer.status)
            self.assertIn(name, answer.json()["Details"])

    def test_chunks(self) -> None:
        """A range of files behind one another, with an ETag; compressed if it is asked for."""
        whole = b"".join(
            self.source.server.ask("GET", f"/instances/{one}/file").body for one in self.ids
        )
        path = "/transfers/chunks/" + ".".join(self.ids)
        answer = self.source.site.ask("GET", path)
        self.assertEqual(whole, answer.body)
        part = self.source.site.ask("GET", f"{path}?offset=100&size=40000&compression=gzip")
        self.assertEqual(whole[100:40100], gzip.decompress(part.body))
        self.assertEqual("application/gzip", part.headers["content-type"])
        seen = {"If-None-Match": answer.headers["etag"]}
        self.assertEqual(304, self.source.site.ask("GET", path, headers=seen).status)
        self.assertEqual(200, self.source.site.ask("GET", path + "?size=1", headers=seen).status)
        anything = {"If-None-Match": "*"}
        self.assertEqual(304, self.source.site.ask("GET", path, headers=anything).status)
        self.assertEqual(400, self.source.site.ask("GET", path + "?size=99999999").status)
        self.assertEqual(400, self.source.site.ask("GET", path + "?offset=-1").status)
        self.assertEqual(404, self.source.site.ask("GET", "/transfers/chunks/nope").status)

    def test_send(self) -> None:
        """Push mode submits a job here; pull mode has the peer submit one."""
        body = json.dumps(self.query()).encode()
        answer = self.source.site.ask("POST", "/transfers/send", body).json()
        self.assertEqual({"ID": "job", "Path": "/jobs/job"}, answer)
        self.assertEqual("PushTransfer", self.source.submitted[0].kind)
        url = "http://other/"
        self.source.peer = OrthancPeer("other", url, properties={"RemoteSelf": "other"})
        answer = self.source.site.ask("POST", "/transfers/send", body).json()
        expected = {"Peer": "other", "RemoteJob": "job", "URL": "http://other/jobs/job"}
        self.assertEqual(expected, answer)
        (pulled,) = self.target.submitted
        self.assertEqual(("PullTransfer", "me"), (pulled.kind, pulled.parameters["Originator"]))
        bad = json.dumps(self.query(Peer="nobody")).encode()
        self.assertEqual(404, self.source.site.ask("POST", "/transfers/send", bad).status)

    def test_peers(self) -> None:
        """Each peer is asked whether it has the accelerator."""
        self.assertEqual({"other": "installed"}, self.peers())
        self.source.peer = OrthancPeer("other", "http://other/", properties={"RemoteSelf": "x"})
        self.assertEqual({"other": "bidirectional"}, self.peers())
        self.source.client.lost = 1
        self.assertEqual({"other": "disabled"}, self.peers())

    def peers(self) -> Any:
        return self.source.site.ask("GET", "/transfers/peers").json()


class CompressedTests(TransferTests):
    """The same out of a storage area that is compressed."""

    def setUp(self) -> None:
        self.source, self.target = two_sides(self, StorageCompression=True)
        self.ids = self.source.instances()

    def test_kept(self) -> None:
        """A file that is asked for in many buckets is inflated once."""
        self.pull()
        self.assertEqual((3, 5), (self.source.files.misses, self.source.files.hits))
