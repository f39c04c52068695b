"""What one frame of an image looks like (PS3.3 C.7.6.3, the Image Pixel module)."""

from __future__ import annotations

from dataclasses import dataclass

from orthanc_tw.model.errors import ErrorCode, OrthancError

_BITS_ALLOCATED = (1, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the samples of a frame are laid out.

    :ivar planar_configuration: 0 colour by pixel, 1 colour by plane
    :ivar pixel_representation: 0 unsigned, 1 signed
    """

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    photometric_interpretation: str
    planar_configuration: int = 0

    @property
    def native_bits(self) -> int:
        """Size of an uncompressed frame, in bits: frames of 1 bit a sample are not padded.

        Of YBR_FULL_422 in native pixel data, two pixels share their Cb and Cr
        (PS3.3 C.7.6.3.1.2).
        """
        samples = self.samples_per_pixel
        if self.photometric_interpretation == "YBR_FULL_422":
            samples = 2
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def decoded_bytes(self) -> int:
        """Size of a frame once it is decoded, one sample in whole bytes."""
        return self.rows * self.columns * self.samples_per_pixel * max(1, self.bits_allocated // 8)

    @property
    def is_colour(self) -> bool:
        """Whether a pixel is more than one sample."""
        return self.samples_per_pixel > 1

    def check(self, maximum_frame_bytes: int) -> None:
        """Before memory is spent on a frame.

        :raises OrthancError: BAD_FILE_FORMAT naming the attribute that is impossible;
            NOT_ENOUGH_MEMORY if a frame is above the limit
        """
        for keyword, value, allowed in (
            ("Rows", self.rows, range(1, 65536)),
            ("Columns", self.columns, range(1, 65536)),
            ("SamplesPerPixel", self.samples_per_pixel, (1, 3, 4)),
            ("BitsAllocated", self.bits_allocated, _BITS_ALLOCATED),
            ("BitsStored", self.bits_stored, range(1, self.bits_allocated + 1)),
            ("PixelRepresentation", self.pixel_representation, (0, 1)),
            ("PlanarConfiguration", self.planar_configuration, (0, 1)),
        ):
            if value not in allowed:
                raise OrthancError(
                    ErrorCode.BAD_FILE_FORMAT, f"Image with an impossible {keyword}: {value}"
                )
        if self.decoded_bytes > maximum_frame_bytes:
            raise OrthancError(
                ErrorCode.NOT_ENOUGH_MEMORY,
                f"A frame of {self.decoded_bytes} bytes, the limit is {maximum_frame_bytes}",
            )
