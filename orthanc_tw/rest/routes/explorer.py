"""The root, the web page, and the list of plugins (there are none)."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from twisted.web.server import Request

from orthanc_tw.rest.errors import bare
from orthanc_tw.rest.http import Route, json_body, text_body

_SCRIPT = "// Extensions to Orthanc Explorer by the registered plugins\n\n"


class ExplorerRoutes:
    """A page of our own that looks at the server through its REST API.

    :param enabled: option ``OrthancExplorerEnabled``
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled

    def routes(self) -> Iterable[Route]:
        """Root, page, plugins."""
        yield Route("GET", "/", self.get_root, "Go to the web page")
        yield Route("GET", "/app", self.get_app, "Directories of the page are not listed")
        yield Route("GET", "/app/<path:name>", self.get_app, "Get a file of the web page")
        yield Route("GET", "/plugins", self.get_plugins, "List the plugins")
        yield Route("GET", "/plugins/<name>", self.get_plugin, "Describe a plugin")

    def get_root(self, request: Request) -> bytes:
        """Redirect to the page."""
        if not self._enabled:
            return bare(request, 404)
        answer = bare(request, 307)
        request.responseHeaders.setRawHeaders(b"location", [b"app/explorer.html"])
        return answer

    def get_app(self, request: Request, name: str = "") -> bytes:
        """The page; there is no other file."""
        if not self._enabled or name != "explorer.html":
            return bare(request, 404)
        page = files("orthanc_tw.rest").joinpath("static/explorer.html")
        return text_body(request, page.read_text("utf-8"), b"text/html")

    def get_plugins(self, request: Request) -> bytes:
        """Only the script that Orthanc's pages load."""
        return json_body(request, ["explorer.js"])

    def get_plugin(self, request: Request, name: str) -> bytes:
        """The script, which does nothing; no plugin is there to be described."""
        if name != "explorer.js":
            return bare(request, 404)
        return text_body(request, _SCRIPT, b"application/javascript")
