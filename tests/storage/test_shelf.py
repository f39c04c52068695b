"""Which folders new files go to, and how they share the fsync of one."""

import os
import threading
from uuid import uuid4

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.storage import shelf as module
from orthanc_tw.storage.shelf import CAPACITY, Shelves


class ShelfTests(SynchronousTestCase):
    def setUp(self):
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)
        self.shelves = Shelves(self.folder)
        self.synced = []
        self.patch(module, "sync_folder", self.synced.append)

    def test_place(self):
        """A folder is filled before the next is begun; UUIDs say where their files are."""
        given = [str(uuid4()) for _ in range(CAPACITY + 1)]
        placed = [self.shelves.place(uuid)[1] for uuid in given]
        self.assertEqual({uuid[:4] for uuid in placed[:-1]}, {given[0][:4]})
        self.assertEqual(placed[-1], given[-1])
        self.assertEqual([uuid[4:] for uuid in placed], [uuid[4:] for uuid in given])
        for uuid in placed:
            self.assertTrue(os.path.isdir(f"{self.folder}/{uuid[:2]}/{uuid[2:4]}"))

    def test_leave(self):
        """A folder in which something went wrong gets no more files; an older one is no matter."""
        first, _ = self.shelves.place("aaaa")
        self.shelves.leave(first)
        second, _ = self.shelves.place("bbbb")
        self.shelves.leave(first)
        self.assertIs(self.shelves.place("cccc")[0], second)
        self.assertEqual(second.prefix, "bbbb")

    def test_settle(self):
        """The folder and at first those above are synced; what was covered is not once more."""
        shelf, _ = self.shelves.place("abcd")
        one, two = shelf.entered(), shelf.entered()
        shelf.settle(one)
        self.assertEqual(self.synced, [f"{self.folder}/ab/cd", f"{self.folder}/ab", self.folder])
        shelf.settle(two)
        self.assertEqual(len(self.synced), 3)
        shelf.settle(shelf.entered())
        self.assertEqual(self.synced[3:], [f"{self.folder}/ab/cd"])

    def test_entered_meanwhile(self):
        """What got its name while the folder was being synced is not covered."""
        shelf, _ = self.shelves.place("abcd")
        late = []
        self.patch(module, "sync_folder", lambda folder: late.append(shelf.entered()))
        shelf.settle(shelf.entered())
        self.patch(module, "sync_folder", self.synced.append)
        shelf.settle(late[-1])
        self.assertEqual(self.synced, [f"{self.folder}/ab/cd"])

    def test_failure(self):
        """Nobody takes for durable what could not be synced, the folders above included."""
        shelf, _ = self.shelves.place("abcd")
        ticket = shelf.entered()

        def broken(folder):
            raise OSError(5, "Input/output error")

        self.patch(module, "sync_folder", broken)
        self.assertRaises(OSError, shelf.settle, ticket)
        self.patch(module, "sync_folder", self.synced.append)
        shelf.settle(ticket)
        self.assertEqual(len(self.synced), 3)

    def test_threads(self):
        """Files of several threads are all covered, by fewer syncs than files or as many."""
        shelf, _ = self.shelves.place("abcd")
        covered = []

        def work():
            for _ in range(50):
                ticket = shelf.entered()
                shelf.settle(ticket)
                covered.append(ticket)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(covered), list(range(1, 201)))
        self.assertLessEqual(self.synced.count(f"{self.folder}/ab/cd"), 200)
