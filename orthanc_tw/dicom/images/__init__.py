"""Images of DICOM files: their frames, and how they are shown. Used inside worker processes."""
