"""What can go wrong between the command line and a server that runs."""

from __future__ import annotations


class StartupError(Exception):
    """The server cannot start: a folder that cannot be written, a port in use, a database of
    a newer version, a certificate that is missing.

    Raised in the reactor thread, from ``privilegedStartService`` or ``startService`` (or while
    services are made), or the failure of the Deferred ``when_started`` of the main service.
    The message is for whoever started the server: one line that names the option and the
    reason. A service that raises it has left nothing behind that ``stopService`` of its parent
    does not end.
    """

    def __str__(self) -> str:
        """The message, on one line whatever it was made from."""
        return " ".join(super().__str__().split())
