"""The modified form of one stored instance as a file that is answered and not kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from orthanc_tw.core.modification.task import MODIFY_FILE, pack_order
from orthanc_tw.core.run_in_worker import RunInWorker
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.index.gateway import Attachment
from orthanc_tw.storage.interface import Storage


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """A file that whoever asked for it has to remove.

    :ivar dropped: why there is none, else None
    """

    path: str
    dropped: str | None = None


class InstanceFiles:
    """Makes such files (reactor thread; a worker process does the work).

    :param settings: of this moment, what every modification shares
    :param pseudonym_key: see `Identity`
    """

    def __init__(
        self,
        storage: Storage,
        run: RunInWorker,
        settings: Callable[[], ModificationSettings],
        pseudonym_key: bytes | None,
    ) -> None:
        self._storage = storage
        self._run = run
        self._settings = settings
        self._key = pseudonym_key

    async def modified(self, modification: Modification, source: Attachment) -> InstanceFile:
        """Write the modified form of a stored file.

        :raises OrthancError: see `modify_instance`, and what the pool raises
        """
        target = self._storage.new_path()
        arguments = [
            pack_order(modification, self._settings(), self._key),
            self._storage.path(source.uuid),
            int(source.compression),
            target,
            os.path.dirname(target),
            False,
        ]
        try:
            done = await self._run(MODIFY_FILE, arguments)
        except BaseException:
            with suppress(OSError):  # a worker that was killed may have left some of it
                os.unlink(target)
            raise
        return InstanceFile(target, done["Dropped"])
