"""The composition root: the one place where objects are made and wired."""

from __future__ import annotations

from orthanc_tw.app.server import Server, make_service

__all__ = ["Server", "make_service"]
