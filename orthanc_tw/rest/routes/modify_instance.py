"""``/instances/{id}/modify`` and ``/anonymize``: the answer is the modified file.

Topics 22, 25 and 26 of the corpus. Nothing is stored. See `modification_jobs` for the other
levels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial

from twisted.web.server import Request

from orthanc_tw.core.instances import Instances
from orthanc_tw.core.modification.dry_run import DryRun
from orthanc_tw.core.modification.instance_file import InstanceFiles
from orthanc_tw.core.modification.names import next_anonymized_name
from orthanc_tw.dicom.modification.plan import ModificationSettings
from orthanc_tw.dicom.modification.request import parse_anonymize, parse_modify
from orthanc_tw.index.gateway import Index
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest.http import Body, Route, has_argument, json_body, json_request
from orthanc_tw.rest.spec_modification import instance_spec
from orthanc_tw.rest.streaming import Streamer

_DICOM = b"application/dicom"


class InstanceModificationRoutes:
    """See `RouteProvider`.

    :param settings: of this moment, what every modification shares
    :param new_seed: makes `Modification.seed`
    :param has_pseudonym_key: then patients get names that follow from it, not from a counter
    """

    def __init__(
        self,
        index: Index,
        instances: Instances,
        files: InstanceFiles,
        dry_run: DryRun,
        streamer: Streamer,
        settings: Callable[[], ModificationSettings],
        new_seed: Callable[[], str],
        *,
        has_pseudonym_key: bool,
    ) -> None:
        self._index = index
        self._instances = instances
        self._files = files
        self._dry_run = dry_run
        self._streamer = streamer
        self._settings = settings
        self._new_seed = new_seed
        self._has_key = has_pseudonym_key

    def routes(self) -> Iterable[Route]:
        """The two routes."""
        for anonymize, name, summary in (
            (False, "modify", "Get a modified instance"),
            (True, "anonymize", "Get an anonymized instance"),
        ):
            yield Route(
                "POST",
                f"/instances/<public_id>/{name}",
                partial(self._modify, anonymize),
                summary,
                changes_state=False,
                spec=instance_spec(anonymize=anonymize),
            )

    async def _modify(self, anonymize: bool, request: Request, public_id: str) -> Body:
        body = json_request(request)
        parse = parse_anonymize if anonymize else parse_modify
        modification = parse(body, ResourceType.INSTANCE, self._settings(), seed=self._new_seed())
        source = self._instances.one(public_id)
        if is_dry_run(request, body):
            resource = (ResourceType.INSTANCE, public_id)
            return json_body(request, await self._dry_run.of(modification, [resource]))
        if modification.wants_patient_name and not self._has_key:
            modification = modification.named(await next_anonymized_name(self._index))
        made = await self._files.modified(modification, source.file)
        if made.dropped is not None:
            raise OrthancError(
                ErrorCode.NOT_ACCEPTABLE, f"The instance is dropped (DropBurnedIn): {made.dropped}"
            )
        try:
            sending = self._streamer.send_path(request, made.path, content_type=_DICOM)
        finally:
            os.unlink(made.path)  # it is open; nobody else needs its name
        await sending
        return None


def is_dry_run(request: Request, body: JsonValue) -> bool:
    """Whether the request is not to change anything: ``?dry-run`` or ``"DryRun": true``.

    :raises OrthancError: BAD_FILE_FORMAT if the field is no Boolean
    """
    wanted = body.get("DryRun", False) if isinstance(body, dict) else False
    if not isinstance(wanted, bool):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, 'Member "DryRun" should be a Boolean value')
    return wanted or has_argument(request, "dry-run")
