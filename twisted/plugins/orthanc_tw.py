"""Registers the ``orthanc`` subcommand of twistd."""

from twisted.application.service import ServiceMaker

orthanc = ServiceMaker(
    "orthanc-tw", "orthanc_tw.tap", "An Orthanc-compatible DICOM server", "orthanc"
)
