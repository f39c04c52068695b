"""An output of a job as it is saved."""

from __future__ import annotations

import os
from dataclasses import dataclass

from orthanc_tw.jobs.interface import Output


@dataclass(frozen=True, slots=True)
class StoredOutput:
    """An output as it is saved: ``file`` is its name in the job's folder, size in bytes."""

    file: str
    mime: str
    filename: str
    size_bytes: int

    def as_output(self, folder: str) -> Output:
        """The same with the path it has now."""
        return Output(os.path.join(folder, self.file), self.mime, self.filename)
