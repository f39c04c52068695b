"""``/openapi.json``: the description of all routes, made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.web.server import Request

from orthanc_tw.rest.http import Route, RouteProvider, json_body
from orthanc_tw.rest.openapi import document
from orthanc_tw.rest.spec import OBJECT, json_spec

_SPEC = json_spec(OBJECT)


class OpenApiRoutes:
    """Describes the routes of other providers, and its own.

    :param providers: all that make the routes of the site
    """

    def __init__(self, providers: Sequence[RouteProvider]) -> None:
        routes = [route for provider in providers for route in provider.routes()]
        self._document = document([*routes, *self.routes()])

    def routes(self) -> Iterable[Route]:
        """The one."""
        yield Route("GET", "/openapi.json", self.get, "Describe this API (OpenAPI)", spec=_SPEC)

    def get(self, request: Request) -> bytes:
        """The document."""
        return json_body(request, self._document)
