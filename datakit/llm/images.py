"""The bytes of pictures as they are sent: read here, and they live hardly longer than the call."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

from datakit.core.copied_files import at_hand
from datakit.core.image import ImageProblem, jpeg_within, read_header
from datakit.core.regular_files import regular

_PIXELS_BEGIN = b"\xff\xda"
_MOST_KEPT_BYTES = 32 << 20


class _Encoded:
    """The pictures that were encoded last: a question is looked up by what would be sent, then sent."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[tuple[str, int, int, int], bytes] = OrderedDict()
        self._bytes, self._lock = 0, threading.Lock()

    def get(self, path: str, max_pixels: int) -> bytes:
        """The picture, encoded unless it was lately. Raises ImageProblem."""
        try:
            status = os.stat(at_hand(path))
        except (OSError, ValueError):
            return jpeg_within(path, max_pixels)  # says what is wrong
        key = (path, status.st_size, status.st_mtime_ns, max_pixels)
        with self._lock:
            data = self._pictures.get(key)
        return data if data is not None else self._kept(key, jpeg_within(path, max_pixels))

    def _kept(self, key: tuple[str, int, int, int], data: bytes) -> bytes:
        with self._lock:
            if key not in self._pictures:
                self._pictures[key] = data
                self._bytes += len(data)
            while self._bytes > _MOST_KEPT_BYTES:
                _, oldest = self._pictures.popitem(last=False)
                self._bytes -= len(oldest)
        return data


_encoded = _Encoded()


def picture_bytes(path: str, max_pixels: int) -> bytes:
    """The picture as JPEG within `max_pixels`, upright, without metadata. Raises ImageProblem.

    A JPEG that is all that already is sent byte for byte: decoding and encoding it would cost 15 times the
    CPU of the whole call.
    """
    if fits_as_it_is(path, max_pixels):
        try:
            with open(path, "rb", opener=regular) as file:
                data = file.read()
        except OSError as error:
            raise ImageProblem("image_no_access", f"{path}: {error.strerror}") from error
        head = data[: data.find(_PIXELS_BEGIN)]  # of an EXIF preview, at the latest, which tells as well
        private = b"Exif\0" in head or b"ns.adobe.com" in head
        if not private and data.rstrip(b"\0").endswith(b"\xff\xd9"):
            return data
    return _encoded.get(path, max_pixels)


def fits_as_it_is(path: str, max_pixels: int) -> bool:
    """Whether a file may be sent without decoding it, by its header. Raises ImageProblem."""
    header = read_header(path)
    fits = header.width * header.height <= max_pixels
    return fits and header.format == "JPEG" and header.mode in ("RGB", "L") and header.exif_orientation == 1
