"""``GET /jobs/events``: the jobs that change, as server-sent events. Not in Orthanc.

An event ``job`` has the JSON of ``GET /jobs/{id}`` as its data, an event ``gone`` the ``ID``
of a job that is forgotten. A new client first gets the jobs that have not ended. Changes of
one job that follow closely are one event, and a slow client gets only the last state of each
job: what is kept for it is a set of ids. Source: WHATWG HTML, section 9.2.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.jobs.query import JobPage, JobQuery
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.jobs import JobState
from orthanc_tw.rest.http import Body, Route
from orthanc_tw.rest.job_loading import once_loaded
from orthanc_tw.rest.spec import STRING, Spec
from orthanc_tw.rest.streaming import Streamer

_log = Logger()

# How long changes are gathered for one write, seconds.
GATHER_S = 0.1
# How often a silent stream says that it is alive, seconds: below the time limits of proxies.
HEARTBEAT_S = 15.0
# How many jobs are described in one turn of the reactor.
JOBS_A_CHUNK = 50

_UNENDED = [state.value for state in JobState if not state.is_final]

_EVENTS = Spec(content={"text/event-stream": STRING}, statuses=(503,))


class JobEventsRoutes:
    """The route of the events.

    :param maximum_streams: how many clients may listen; the next one is answered 503
    """

    def __init__(
        self,
        engine: JobsEngine,
        streamer: Streamer,
        clock: IReactorTime,
        maximum_streams: int = 64,
    ) -> None:
        self._engine = engine
        self._streamer = streamer
        self._clock = clock
        self._maximum_streams = maximum_streams
        self._streams: set[_Stream] = set()

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        return once_loaded(self._engine, self._routes())

    def _routes(self) -> Iterable[Route]:
        # Hot since "/jobs/<job_id>" is: of hot routes the most specific wins.
        yield Route("GET", "/jobs/events", self._listen, "Follow jobs", hot=True, spec=_EVENTS)

    def close(self) -> None:
        """End all streams; their clients come back when the server does."""
        for stream in list(self._streams):
            stream.end()

    async def _listen(self, request: Request) -> Body:
        if len(self._streams) >= self._maximum_streams:
            raise OrthancError(
                ErrorCode.INTERNAL_ERROR, "Too many clients listen to the jobs", http_status=503
            )
        request.setHeader(b"content-type", b"text/event-stream")
        request.setHeader(b"cache-control", b"no-store")
        stream = _Stream(self._engine, self._clock)
        self._streams.add(stream)

        def closed() -> None:
            stream.close()
            self._streams.discard(stream)

        await self._streamer.send_chunks(request, stream.next_chunk, closed)
        return None


class _Stream:
    """What one client has not been told yet."""

    def __init__(self, engine: JobsEngine, clock: IReactorTime) -> None:
        self._engine = engine
        self._clock = clock
        self._changed: dict[str, None] = {}
        self._chunk: Deferred[bytes] | None = None
        self._call: IDelayedCall | None = None
        self._unobserve = engine.observe(self._observe)
        self._is_new = True
        self._finding = engine.find(JobQuery(states=_UNENDED))
        self._finding.addCallbacks(self._found, self._not_found)

    def next_chunk(self) -> Deferred[bytes]:
        """Fires with the next events; not before the client has taken those before."""
        chunk: Deferred[bytes] = Deferred()
        self._chunk = chunk
        if self._is_new:
            # Something at once, so that the client's "open" event is not the first job's.
            self._is_new = False
            self._fire(b": the jobs\n\n")
        else:
            self._wait(GATHER_S if self._changed else HEARTBEAT_S)
        return chunk

    def end(self) -> None:
        """No more events."""
        self._fire(b"")

    def close(self) -> None:
        """The client is gone, or has been told that this is all."""
        self._unobserve()
        self._finding.cancel()
        self._stop_waiting()
        self._chunk = None

    def _found(self, page: JobPage) -> None:
        for job_id in page.job_ids:
            self._observe(job_id)

    def _not_found(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("The jobs to follow were not found", failure)

    def _observe(self, job_id: str) -> None:
        if not self._changed and self._chunk is not None:
            self._wait(GATHER_S)
        self._changed[job_id] = None

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._call = self._clock.callLater(seconds, self._tell)

    def _stop_waiting(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def _tell(self) -> None:
        job_ids = list(islice(self._changed, JOBS_A_CHUNK))
        for job_id in job_ids:
            del self._changed[job_id]
        self._fire(b"".join(self._event(job_id) for job_id in job_ids) or b": alive\n\n")

    def _event(self, job_id: str) -> bytes:
        job = self._engine.describe(job_id)
        name, data = ("gone", {"ID": job_id}) if job is None else ("job", job)
        text = json.dumps(data, ensure_ascii=False, sort_keys=True)
        return f"event: {name}\ndata: {text}\n\n".encode("utf-8", "replace")

    def _fire(self, data: bytes) -> None:
        self._stop_waiting()
        chunk, self._chunk = self._chunk, None
        if chunk is not None:
            chunk.callback(data)
