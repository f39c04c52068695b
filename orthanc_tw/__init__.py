"""orthanc-tw: an Orthanc-compatible DICOM server on Twisted."""

__version__ = "0.1.0"
