"""Makes the DICOM files that the benchmarks send: CT-like slices and small instances.

The pixels imitate what a scanner gives: an elliptic body of smooth soft tissue with
bones and air, 12 significant bits, Gaussian noise in the tissue and little of it around,
so that deflate finds in them about what it finds in real slices.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

_ROOT = "1.2.826.0.1.3680043.8.498.7"


@dataclass(frozen=True)
class Sample:
    """One DICOM file to send. ``series`` and ``study`` number what it belongs to."""

    study: int
    series: int
    instance: int
    content: bytes


def ct_pixels(size: int, seed: int) -> bytes:
    """``size`` x ``size`` little-endian signed 16-bit values of a CT-like slice."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(-1.0, 1.0, size)
    x, y = np.meshgrid(axis, axis)
    radius = (x / 0.8) ** 2 + (y / 0.6) ** 2
    body = radius < 1.0
    smooth = 40.0 + 25.0 * np.sin(3.1 * x + seed / 7.0) * np.cos(2.3 * y)
    lungs = (((np.abs(x) - 0.35) / 0.22) ** 2 + (y / 0.35) ** 2) < 1.0
    spine = ((x / 0.09) ** 2 + ((y - 0.4) / 0.09) ** 2) < 1.0
    values = np.full((size, size), -1000.0)
    values[body] = smooth[body]
    values[body & lungs] = -820.0
    values[body & spine] = 700.0
    noise = rng.normal(0.0, 11.0, (size, size))
    values += np.where(body, noise, 0.25 * noise)
    values[(x * x + y * y) > 1.0] = -1024.0
    pixels: bytes = np.clip(np.rint(values), -1024, 3071).astype("<i2").tobytes()
    return pixels


def make_instance(
    study: int, series: int, instance: int, size: int, pixels: bytes | None = None
) -> Sample:
    """A CT instance of ``size`` x ``size`` pixels; identifiers follow from the numbers.

    :param pixels: two bytes each; None: like those of a scanner
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{_ROOT}.{study}.{series}.{instance}"
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyDate = "20260102"
    dataset.StudyTime = "101112"
    dataset.AccessionNumber = f"A{study:06}"
    dataset.Modality = "CT"
    dataset.Manufacturer = "ACME"
    dataset.ReferringPhysicianName = "Referrer^Rita"
    dataset.StudyDescription = "THORAX"
    dataset.SeriesDescription = f"Axial {series}"
    dataset.PatientName = f"Bench^Patient {study}"
    dataset.PatientID = f"P{study:06}"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "O"
    dataset.SliceThickness = "1.25"
    dataset.StudyInstanceUID = f"{_ROOT}.{study}"
    dataset.SeriesInstanceUID = f"{_ROOT}.{study}.{series}"
    dataset.StudyID = str(study)
    dataset.SeriesNumber = series
    dataset.InstanceNumber = instance
    dataset.ImagePositionPatient = [-200.0, -200.0, 1.25 * instance]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = size
    dataset.PixelSpacing = [0.8, 0.8]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.RescaleIntercept = "0"
    dataset.RescaleSlope = "1"
    dataset.PixelData = ct_pixels(size, 1000 * study + instance) if pixels is None else pixels
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return Sample(study, series, instance, out.getvalue())


def make_series(study: int, count: int, size: int) -> list[Sample]:
    """One series of ``count`` instances in a study of its own."""
    return [make_instance(study, 1, number + 1, size) for number in range(count)]
