"""The bytes of pictures as they are sent: read here, and they live no longer than the call."""

from __future__ import annotations

from datakit.core.image import ImageProblem, jpeg_within, read_header

_PIXELS_BEGIN = b"\xff\xda"


def picture_bytes(path: str, max_pixels: int) -> bytes:
    """The picture as JPEG within `max_pixels`, upright, without metadata. Raises ImageProblem.

    A JPEG that is all that already is sent byte for byte: decoding and encoding it would cost 15 times the
    CPU of the whole call.
    """
    if fits_as_it_is(path, max_pixels):
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise ImageProblem("image_no_access", f"{path}: {error.strerror}") from error
        head = data[: data.find(_PIXELS_BEGIN)]  # of an EXIF preview, at the latest, which tells as well
        private = b"Exif\0" in head or b"ns.adobe.com" in head
        if not private and data.rstrip(b"\0").endswith(b"\xff\xd9"):
            return data
    return jpeg_within(path, max_pixels)


def fits_as_it_is(path: str, max_pixels: int) -> bool:
    """Whether a file may be sent without decoding it, by its header. Raises ImageProblem."""
    header = read_header(path)
    fits = header.width * header.height <= max_pixels
    return fits and header.format == "JPEG" and header.mode in ("RGB", "L") and header.exif_orientation == 1
