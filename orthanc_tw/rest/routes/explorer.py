"""The root, the web page, and the list of plugins (what takes the place of some is built in)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files

from twisted.web.server import Request

from orthanc_tw import __version__
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.rest.errors import bare
from orthanc_tw.rest.http import Route, json_body, text_body
from orthanc_tw.rest.spec import BINARY, JSON, OBJECT, STRING, Spec, array, json_spec

# Files of the page below /app, their names in the package and their types.
_FILES = {
    "explorer.html": ("explorer.html", b"text/html"),
    "explorer.js": ("explorer.js", b"application/javascript"),
    "images/favicon.ico": ("favicon.ico", b"image/x-icon"),
    "images/unsupported.png": ("unsupported.png", b"image/png"),
}
#: What is built in and a plugin of Orthanc: peers look for ``transfers`` in the list.
_BUILT_IN: Mapping[str, JsonObject] = {
    "transfers": {
        "Description": "Transfers accelerator, built in",
        "ExtendsOrthancExplorer": False,
        "Version": __version__,
    }
}
_SCRIPT = "// Extensions to Orthanc Explorer by the registered plugins\n\n"

_REDIRECT = Spec(statuses=(307, 404))
_FILE = Spec(content={"*/*": BINARY}, statuses=(404,))
_NAMES = json_spec(array())
_PLUGIN = Spec(
    content={JSON: OBJECT, "application/javascript": STRING}, statuses=(404,), bare=(404,)
)


class ExplorerRoutes:
    """A page of our own that looks at the server through its REST API.

    :param enabled: option ``OrthancExplorerEnabled``
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled

    def routes(self) -> Iterable[Route]:
        """Root, page, plugins."""
        yield Route("GET", "/", self.get_root, "Go to the web page", spec=_REDIRECT)
        yield Route(
            "GET", "/app", self.get_app, "Directories of the page are not listed", spec=_FILE
        )
        yield Route(
            "GET", "/app/<path:name>", self.get_app, "Get a file of the web page", spec=_FILE
        )
        yield Route(
            "GET", "/favicon.ico", self.get_icon, "Go to the icon of the web page", spec=_REDIRECT
        )
        yield Route("GET", "/webdav", self.get_webdav, "WebDAV is not offered", spec=_FILE)
        yield Route(
            "GET", "/webdav/<path:name>", self.get_webdav, "WebDAV is not offered", spec=_FILE
        )
        yield Route("GET", "/plugins", self.get_plugins, "List the plugins", spec=_NAMES)
        yield Route("GET", "/plugins/<name>", self.get_plugin, "Describe a plugin", spec=_PLUGIN)

    def get_root(self, request: Request) -> bytes:
        """Redirect to the page."""
        return self._redirect(request, b"app/explorer.html")

    def _redirect(self, request: Request, location: bytes) -> bytes:
        if not self._enabled:
            return bare(request, 404)
        answer = bare(request, 307)
        request.responseHeaders.setRawHeaders(b"location", [location])
        return answer

    def get_app(self, request: Request, name: str = "") -> bytes:
        """A file of the page; there are no others."""
        found = _FILES.get(name)
        if not self._enabled or found is None:
            return bare(request, 404)
        file_name, content_type = found
        request.responseHeaders.setRawHeaders(b"content-type", [content_type])
        return files("orthanc_tw.rest").joinpath(f"static/{file_name}").read_bytes()

    def get_icon(self, request: Request) -> bytes:
        """Browsers ask for it at the root."""
        return self._redirect(request, b"app/images/favicon.ico")

    def get_webdav(self, request: Request, name: str = "") -> bytes:
        """WebDAV is not offered: 404, as of a server where it is disabled."""
        return bare(request, 404)

    def get_plugins(self, request: Request) -> bytes:
        """The script that Orthanc's pages load; what peers and clients find out here is there."""
        return json_body(request, ["explorer.js", *sorted(_BUILT_IN)])

    def get_plugin(self, request: Request, name: str) -> bytes:
        """The script, which does nothing, or what takes the place of a plugin."""
        if name in _BUILT_IN:
            return json_body(request, {"ID": name, **_BUILT_IN[name]})
        if name != "explorer.js":
            return bare(request, 404)
        return text_body(request, _SCRIPT, b"application/javascript")
