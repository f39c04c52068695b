"""The arguments of ``GET /jobs``: filters, an order and pages. Beyond Orthanc."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from twisted.web.server import Request

from orthanc_tw.jobs.query import JobOrder, JobQuery
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.jobs import JobState
from orthanc_tw.rest.http import argument, has_argument

_STATES = {state.value for state in JobState}
_ORDERS = {order.value: order for order in JobOrder}


def parse_job_query(request: Request) -> JobQuery:
    """What the query string asks for; ``-`` before the name of an order turns it round.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE (400) naming the argument
    """
    states = _words(request, "state")
    unknown = set(states) - _STATES
    if unknown:
        raise _refused(f"Unknown state of job: {min(unknown)}")
    name = argument(request, "sort") or JobOrder.ID.value
    order = _ORDERS.get(name.removeprefix("-"))
    if order is None:
        raise _refused(f"One of {', '.join(_ORDERS)} is expected in the argument: sort")
    query = JobQuery(
        states,
        _words(request, "type"),
        _words(request, "label"),
        order,
        name.startswith("-"),
        argument(request, "after") or "",
        _limit(request),
    )
    if query.after:
        try:
            order.position(query.after)
        except ValueError:
            raise _refused(
                "The end of a page of this order is expected in the argument: after"
            ) from None
    return query


def set_next_page(request: Request, next_after: str | None) -> None:
    """Name the next page in a header ``Link`` (RFC 8288), if there is one."""
    if next_after is None:
        return
    kept = [
        (name, value)
        for name in ("state", "type", "label", "sort", "limit")
        if (value := argument(request, name)) is not None
    ]
    query = urlencode([*kept, ("after", next_after)], quote_via=quote)
    expand = "expand&" if has_argument(request, "expand") else ""
    request.setHeader(b"link", f'</jobs?{expand}{query}>; rel="next"'.encode("ascii"))


def _words(request: Request, name: str) -> list[str]:
    return [word for word in (argument(request, name) or "").split(",") if word]


def _limit(request: Request) -> int:
    text = argument(request, "limit")
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise _refused("A number is expected in the argument: limit")
    return int(text)


def _refused(details: str) -> OrthancError:
    return OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE, details)
