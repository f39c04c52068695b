"""A site in memory whose one resource answers with the body of the request."""

from orthanc_tw.rest.http import Route, read_body, text_body
from orthanc_tw.testing.requests import InMemorySite, Routes


def echo_site(**options):
    """Of ``/echo``; the options are those of `InMemorySite`."""
    return InMemorySite(
        Routes(Route("POST", "/echo", _echo), Route("GET", "/echo", _echo)), **options
    )


def _echo(request):
    return text_body(request, read_body(request).decode())
