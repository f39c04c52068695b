"""``/tools``: small questions, and operations on the server as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.resources import files
from uuid import UUID

from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from orthanc_tw.core.utc import local_text, utc_text
from orthanc_tw.index.gateway import Index, ReadTransaction, ResourceRow
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest import spec_parts as parts
from orthanc_tw.rest.answers import empty_text, resource_reference, text_request
from orthanc_tw.rest.errors import bare
from orthanc_tw.rest.http import Route, argument, empty_json, json_body, text_body
from orthanc_tw.rest.spec import (
    JSON,
    OBJECT,
    STRING,
    TEXT,
    Spec,
    array,
    described,
    json_spec,
    one_of,
    text_spec,
)

# What ``GET /tools`` lists is what the API of this version has, in the order of its names.
CHILDREN = (
    *("accepted-sop-classes", "accepted-transfer-syntaxes", "bulk-anonymize", "bulk-content"),
    *("bulk-delete", "bulk-modify", "count-resources", "create-archive", "create-dicom"),
    *("create-media", "create-media-extended", "default-encoding", "dicom-conformance"),
    *("dicom-echo", "execute-script", "find", "generate-uid", "invalidate-tags", "labels"),
    *("log-level", "log-level-dicom", "log-level-generic", "log-level-http", "log-level-jobs"),
    *("log-level-lua", "log-level-plugins", "log-level-sqlite", "lookup", "metrics"),
    *("metrics-prometheus", "now", "now-local", "reconstruct", "reset", "shutdown"),
    "unknown-sop-class-accepted",
)
# Tags that identify, in the order in which `/tools/lookup` tries them.
IDENTIFIERS = ("0010,0020", "0020,000d", "0008,0050", "0020,000e", "0008,0018")

_NAMES = json_spec(array())
_TEXT = text_spec()
_UID = text_spec(
    query={"level": described(one_of("patient", "study", "series", "instance"), "Of what")},
    statuses=(404,),
)
_LOOKUP = Spec(body={TEXT: STRING}, content={JSON: array(parts.REFERENCE)})
_SCRIPT = text_spec(body=described(STRING, "Lua"))
_DONE = json_spec(OBJECT)


class ToolsRoutes:
    """Time, identifiers, look-ups, reset and shutdown.

    :param new_uuid: source of random UUIDs
    :param reset: restarts the server, keeping its data; called once the answer is sent
    :param shutdown: stops the server; called once the answer is sent
    """

    def __init__(
        self,
        index: Index,
        clock: IReactorTime,
        new_uuid: Callable[[], UUID],
        *,
        reset: Callable[[], object],
        shutdown: Callable[[], object],
    ) -> None:
        self._index = index
        self._clock = clock
        self._new_uuid = new_uuid
        self._reset = reset
        self._shutdown = shutdown

    def routes(self) -> Iterable[Route]:
        """All of them."""
        yield Route("GET", "/tools", self.get_children, "List the tools", spec=_NAMES)
        yield Route("GET", "/tools/now", self.get_now, "Get the time in UTC", spec=_TEXT)
        yield Route("GET", "/tools/now-local", self.get_now_local, "Get the local time", spec=_TEXT)
        yield Route("GET", "/tools/generate-uid", self.get_uid, "Make an identifier", spec=_UID)
        yield Route("GET", "/tools/labels", self.get_labels, "List the labels in use", spec=_NAMES)
        yield Route(
            "POST", "/tools/lookup", self.post_lookup, "Find by a DICOM identifier", spec=_LOOKUP
        )
        conformance = "/tools/dicom-conformance"
        yield Route(
            "GET", conformance, self.get_conformance, "DICOM conformance statement", spec=_TEXT
        )
        yield Route(
            "POST", "/tools/execute-script", self.post_script, "Lua is not offered", spec=_SCRIPT
        )
        yield Route(
            "POST", "/tools/invalidate-tags", self.post_invalidate, "Forget cached tags", spec=_TEXT
        )
        yield Route("POST", "/tools/reset", self.post_reset, "Restart the server", spec=_DONE)
        yield Route("POST", "/tools/shutdown", self.post_shutdown, "Stop the server", spec=_DONE)

    def get_children(self, request: Request) -> bytes:
        """Names below ``/tools``."""
        return json_body(request, list(CHILDREN))

    def get_now(self, request: Request) -> bytes:
        """``YYYYMMDDTHHMMSS`` in UTC."""
        return text_body(request, utc_text(self._clock.seconds()))

    def get_now_local(self, request: Request) -> bytes:
        """``YYYYMMDDTHHMMSS`` in the server's time zone."""
        return text_body(request, local_text(self._clock.seconds()))

    def get_uid(self, request: Request) -> bytes:
        """A random PatientID, or a DICOM UID made of a UUID (PS3.5 B.2)."""
        level = argument(request, "level")
        if level == "patient":
            return text_body(request, str(self._new_uuid()))
        if level in ("study", "series", "instance"):
            return text_body(request, f"2.25.{self._new_uuid().int}")
        return bare(request, 404)

    async def get_labels(self, request: Request) -> bytes:
        """All labels that some resource has."""
        return json_body(request, sorted(await self._index.read(lambda tx: tx.all_labels())))

    async def post_lookup(self, request: Request) -> bytes:
        """Resources whose identifier is the body."""
        value = text_request(request)
        if "*" in value or "?" in value:
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE,
                f"Wildcards are not allowed on tag {IDENTIFIERS[0]}",
            )
        if not value:
            return json_body(request, [])

        def read(tx: ReadTransaction) -> list[ResourceRow]:
            return [row for tag in IDENTIFIERS for row in tx.lookup_identifier(tag, value)]

        found = await self._index.read(read)
        return json_body(request, [resource_reference(row.level, row.public_id) for row in found])

    def get_conformance(self, request: Request) -> bytes:
        """What of DICOM this version speaks."""
        text = files("orthanc_tw.rest").joinpath("static/conformance.txt").read_text("utf-8")
        return text_body(request, text)

    def post_script(self, request: Request) -> bytes:
        """Scripts are not run: 403, as of a server where they are disabled."""
        return bare(request, 403)

    def post_invalidate(self, request: Request) -> bytes:
        """Nothing of the tags is cached here, so there is nothing to forget."""
        return empty_text(request)

    def post_reset(self, request: Request) -> bytes:
        """Restart after the answer."""
        return self._afterwards(request, self._reset)

    def post_shutdown(self, request: Request) -> bytes:
        """Stop after the answer."""
        return self._afterwards(request, self._shutdown)

    def _afterwards(self, request: Request, action: Callable[[], object]) -> bytes:
        def act(reason: object) -> None:
            action()

        request.notifyFinish().addBoth(act)
        return empty_json(request)


def levels_enabled(patient_level_enabled: bool) -> tuple[ResourceType, ...]:
    """Levels that have routes; without the patient level there is no ``/patients``."""
    levels = tuple(ResourceType)
    return levels if patient_level_enabled else levels[1:]
