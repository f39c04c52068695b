"""The folders of jobs on disk, ``StorageDirectory/jobs/<id>/``. Every function here blocks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from twisted.python.failure import Failure

from orthanc_tw.jobs.interface import Output
from orthanc_tw.jobs.outputs import StoredOutput

Outputs = Mapping[str, Output]
Settled = dict[str, StoredOutput] | Failure


def _sync(path: str) -> int:
    """Make a file or a folder durable; its size in bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


class JobFolders:
    """The folders below ``root``; job ids were made by this server, and are safe names."""

    def __init__(self, root: str) -> None:
        self.root = root

    def path(self, job_id: str) -> str:
        """Where the folder of a job is, or would be."""
        return os.path.join(self.root, job_id)

    def make(self, job_id: str) -> None:
        """Make the folder of a job if it is not there; `settle_all` makes it durable.

        :raises OSError: if that cannot be done
        """
        path = self.path(job_id)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        except FileNotFoundError:
            os.makedirs(path, mode=0o700, exist_ok=True)
            _sync(os.path.dirname(self.root))

    def remove(self, job_id: str) -> None:
        """Remove the folder of a job and all that is in it, if it is there."""
        shutil.rmtree(self.path(job_id), ignore_errors=True)

    def remove_files(self, job_id: str, names: Collection[str]) -> None:
        """Remove files of a job, and its folder if it is empty then."""
        for name in names:
            with suppress(FileNotFoundError):
                os.remove(os.path.join(self.path(job_id), name))
        with suppress(OSError):
            os.rmdir(self.path(job_id))

    def settle_all(self, jobs: Sequence[tuple[str, Outputs]]) -> list[Settled]:
        """`settle` for several jobs: what is stored of each, or a `Failure`."""
        results = [self._settled(job_id, outputs) for job_id, outputs in jobs]
        try:
            # Where one journal has all (ext4, XFS), those of the files took this along already.
            _sync(self.root)
        except OSError:
            return [Failure()] * len(results)
        return results

    def _settled(self, job_id: str, outputs: Outputs) -> Settled:
        try:
            return self.settle(job_id, outputs)
        except Exception:
            return Failure()

    def settle(self, job_id: str, outputs: Outputs) -> dict[str, StoredOutput]:
        """Make outputs durable and measure them; anything else in the folder is removed.

        The folder itself is durable when ``root`` was synced after this.

        :raises ValueError: if an output is not directly in the job's folder
        :raises OSError: if it is not there or cannot be synced
        """
        folder = self.path(job_id)
        stored = {}
        for key, output in outputs.items():
            name = os.path.basename(output.path)
            if os.path.abspath(output.path) != os.path.abspath(os.path.join(folder, name)):
                raise ValueError(f"The output {key} of job {job_id} is not in its folder")
            size = _sync(output.path)
            stored[key] = StoredOutput(name, output.mime, output.filename, size)
        _keep_only(folder, {output.file for output in stored.values()})
        _sync(folder)
        return stored

    def sweep(self, keep: Collection[str]) -> list[str]:
        """Remove the folders of jobs that are not in ``keep``; returns their names."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return []
        orphans = [name for name in names if name not in keep]
        for name in orphans:
            path = os.path.join(self.root, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.remove(path)
        return orphans

    def missing(self, outputs: Mapping[str, Collection[str]]) -> list[str]:
        """Job ids one of whose files is not there, out of job id -> names of files."""
        return [
            job_id
            for job_id, names in outputs.items()
            if not all(os.path.isfile(os.path.join(self.path(job_id), name)) for name in names)
        ]


def _keep_only(folder: str, names: Collection[str]) -> None:
    for item in os.scandir(folder):
        if item.name in names:
            continue
        if item.is_dir(follow_symlinks=False):
            shutil.rmtree(item.path, ignore_errors=True)
        else:
            os.remove(item.path)
