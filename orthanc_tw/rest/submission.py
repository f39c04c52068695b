"""The fields that every route which submits a job has in common, and its answer.

Owns ``Synchronous``, ``Asynchronous``, ``Priority``, ``UserData`` and ``Permissive``;
knows nothing of any kind of job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twisted.web.server import Request

from orthanc_tw.jobs.interface import JobRequest, JobResult, JobsEngine
from orthanc_tw.jobs.retry import RetryPolicy
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.rest.http import json_body

_PRIORITY_RANGE = range(-(2**31), 2**31)
# As in the option JobsRetry: delays are seconds.
_RETRY_RANGES: Final = {
    "MaximumAttempts": (1, 1000),
    "InitialDelay": (0, 86400),
    "MaximumDelay": (0, 86400),
}


@dataclass(frozen=True, slots=True)
class SubmissionOptions:
    """How a body asks for its job to be run.

    :ivar synchronous: answer when the job has ended, with its content
    :ivar priority: higher first; fits 32 bits
    :ivar user_data: any JSON, shown as ``UserData`` of the job if ``has_user_data``
    :ivar permissive: go on after an instance that fails
    :ivar retry: what to do about a network that fails; None: as configured
    """

    synchronous: bool
    priority: int = 0
    user_data: JsonValue = None
    has_user_data: bool = False
    permissive: bool = False
    retry: RetryPolicy | None = None

    def request(
        self, kind: str, parameters: JsonObject, *, attachment: object = None
    ) -> JobRequest:
        """The submission of a job of ``kind`` with these options."""
        return JobRequest(
            kind=kind,
            parameters=parameters,
            priority=self.priority,
            user_data=self.user_data,
            has_user_data=self.has_user_data,
            attachment=attachment,
            retry=self.retry,
        )


def boolean_field(body: JsonValue, name: str, default: bool) -> bool:
    """A boolean field of a JSON object, ``default`` if it is absent or there is no object.

    :raises OrthancError: BAD_FILE_FORMAT naming the field if it is something else
    """
    if not isinstance(body, dict) or name not in body:
        return default
    value = body[name]
    if not isinstance(value, bool):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"Boolean value expected in field: {name}")
    return value


def integer_field(body: JsonValue, name: str, default: int) -> int:
    """A 32-bit integer field of a JSON object, ``default`` if it is absent.

    :raises OrthancError: BAD_FILE_FORMAT naming the field if it is something else
    """
    if not isinstance(body, dict) or name not in body:
        return default
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int) or value not in _PRIORITY_RANGE:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"Integer value expected in field: {name}")
    return value


def strings_field(body: JsonValue, name: str, *, optional: bool = False) -> list[str]:
    """A list of strings of a JSON object; empty if it is absent and may be.

    :raises OrthancError: BAD_FILE_FORMAT naming the field if it is something else
    """
    if isinstance(body, dict) and optional and name not in body:
        return []
    value = body.get(name) if isinstance(body, dict) else None
    if isinstance(value, list):
        strings = [item for item in value if isinstance(item, str)]
        if len(strings) == len(value):
            return strings
    raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"List of strings expected in field: {name}")


def parse_submission(body: JsonValue, *, synchronous_by_default: bool) -> SubmissionOptions:
    """Read the common fields of a body; one that is not an object has none of them.

    ``Synchronous`` wins over ``Asynchronous``, which is then not even looked at, and a
    ``UserData`` of null counts as none: both as Orthanc does.

    :raises OrthancError: BAD_FILE_FORMAT (400) naming the field of a wrong type
    """
    if isinstance(body, dict) and "Synchronous" in body:
        synchronous = boolean_field(body, "Synchronous", synchronous_by_default)
    else:
        synchronous = not boolean_field(body, "Asynchronous", not synchronous_by_default)
    user_data = body.get("UserData") if isinstance(body, dict) else None
    return SubmissionOptions(
        synchronous=synchronous,
        priority=integer_field(body, "Priority", 0),
        user_data=user_data,
        has_user_data=user_data is not None,
        permissive=boolean_field(body, "Permissive", False),
        retry=_retry_field(body),
    )


def _retry_field(body: JsonValue) -> RetryPolicy | None:
    """``Retry``: how often to try, whether to try more than once, or an object (see docs).

    :raises OrthancError: BAD_FILE_FORMAT naming the field if it is something else
    """
    if not isinstance(body, dict) or "Retry" not in body:
        return None
    value = body["Retry"]
    if isinstance(value, bool):
        return RetryPolicy() if value else RetryPolicy(1)
    if isinstance(value, int):
        return RetryPolicy(_retry_number("Retry", value, 1, 1000, whole=True))
    if not isinstance(value, dict):
        raise _bad_retry("Boolean, integer or object expected in field: Retry")
    unknown = set(value) - set(_RETRY_RANGES)
    if unknown:
        raise _bad_retry(f"Unknown field: Retry.{min(unknown)}")
    return RetryPolicy.from_json(
        {
            name: _retry_number(
                f"Retry.{name}", entry, *_RETRY_RANGES[name], whole=name == "MaximumAttempts"
            )
            for name, entry in value.items()
        }
    )


def _retry_number(name: str, value: JsonValue, low: int, high: int, *, whole: bool) -> int:
    allowed = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not low <= value <= high:
        kind = "Integer" if whole else "Number"
        raise _bad_retry(f"{kind} from {low} to {high} expected in field: {name}")
    return value  # type: ignore[return-value]


def _bad_retry(details: str) -> OrthancError:
    return OrthancError(ErrorCode.BAD_FILE_FORMAT, details)


def submitted_body(request: Request, job_id: str) -> bytes:
    """The answer to an asynchronous submission."""
    return json_body(request, {"ID": job_id, "Path": f"/jobs/{job_id}"})


#: What a kind of job adds to the error of a request that waited for a job that failed.
Payload = Callable[[JobResult], JsonObject]


def raise_if_failed(result: JobResult, payload: Payload | None = None) -> None:
    """Turn the failure of a job somebody waited for into the error of the request.

    :raises OrthancError: with the code and the details of the job
    """
    if result.succeeded:
        return
    try:
        code = ErrorCode(result.error_code)
    except ValueError:
        code = ErrorCode.INTERNAL_ERROR
    raise OrthancError(
        code, result.error_details or None, payload=None if payload is None else payload(result)
    )


async def submit_job(
    engine: JobsEngine,
    request: Request,
    job: JobRequest,
    options: SubmissionOptions,
    payload: Payload | None = None,
) -> bytes:
    """Submit ``job``; answer its id at once, or its ``Content`` when it has succeeded.

    Cancelled (the client has gone) while it waits for a free place in the queue, nothing is
    submitted; later, the job goes on by itself.

    :raises OrthancError: what the engine refused it with, or what the job failed with
    """
    job_id = await engine.submit(job)
    if not options.synchronous:
        return submitted_body(request, job_id)
    result = await engine.wait(job_id)
    raise_if_failed(result, payload)
    return json_body(request, dict(result.content))
