"""Pictures for the card at the size that the model sees, within a bound of bytes for all of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.box_forms import SeenPictures
from datakit.core.boxes import Size
from datakit.core.image import ImageProblem, read_header
from datakit.core.pixels import trainer_size
from datakit.core.seen_pictures import TrainedPictures, trained_pictures
from datakit.core.shown_picture import ShownPicture
from datakit.core.wording import later, t
from datakit.pages.blocks import Thumbnail

SMALL_CARD_BYTES = 1_000_000
"""All pictures of a card of few records: with text and plots it stays below 2 MB (a data URI takes 4/3)."""
LEAST_BYTES = 22_000
"""Of a picture on a card of many: a phone's screen of 768 x 768 pixels in all is still read at that."""
LARGE_CARD_BYTES = 8_000_000
"""All pictures of a card of many records, which stays below 15 MB."""
MOST_BYTES = 60_000
"""Of one picture on any card."""
MOST_PICTURES = 400
LOST = later("picture {number} is not in the build folder any more")
TOO_MANY = later("picture {number} is not shown: the card has {most}")
_QUALITIES = (60, 42, 28, 16)
_SCALES = (0.7, 0.5, 0.3, 0.1)
"""Smaller pictures, where the lowest quality takes too much: photographs, mostly."""
_QUICK = 2
"""Effort of the encoder, 0 to 6."""
_SHEET_PX, _SHEET_QUALITY = 180, 45


@dataclass(frozen=True)
class Picture:
    """A picture on the card; of one that is not shown the words alone."""

    shown: Thumbnail
    size: Size = (0, 0)
    """As it was read."""
    across: int = 0
    """Pixels across as the model sees it."""
    small: str = ""
    """A small copy as data URI, for the sheets of Markdown's readers."""
    small_size: Size = (0, 0)


@dataclass
class Pictures:
    """The pictures of one card: each is read and encoded once, in its share of the bytes."""

    build: BuildFolder
    wanted: int
    """About so many will be asked for."""
    _made: dict[ShownPicture, Picture] = field(default_factory=dict)

    def shown(self, own: ShownPicture, number: int) -> Picture:
        """The picture; one that cannot be read, or is one too many, is words."""
        if own not in self._made:
            if len(self._made) >= MOST_PICTURES:
                return Picture(Thumbnail("", t(TOO_MANY, number=number, most=MOST_PICTURES)))
            self._made[own] = self._make(own, number)
        return self._made[own]

    @property
    def share(self) -> int:
        """Bytes of one picture."""
        count = max(min(self.wanted, MOST_PICTURES), 1)
        return min(max(SMALL_CARD_BYTES // count, LEAST_BYTES), LARGE_CARD_BYTES // count, MOST_BYTES)

    def _make(self, own: ShownPicture, number: int) -> Picture:
        try:
            header = read_header(own.path)
            size = header.width, header.height
            seen = self._seen(size)
            image = own.load(max_side_px=max(seen))
        except (ImageProblem, ValueError, OSError):  # ValueError: a size that the model's processor refuses
            return Picture(Thumbnail("", t(LOST, number=number)))
        data = next(data for data in _encoded(image) if len(data) <= self.share)
        small, small_size = _small(image)
        shown = Thumbnail(_uri(data, "webp"), t("picture {number}", number=number))
        return Picture(shown, size, seen[0], small, small_size)

    def _seen(self, size: Size) -> Size:
        """Width and height as the model sees it; the trainer's own limit where the model is not known."""
        trained, seen = self._trained
        return seen.size(size) if seen is not None else trainer_size(*size, trained.trainer)

    @property
    def _trained(self) -> tuple[TrainedPictures, SeenPictures | None]:
        limit = self.build.parameters("emit.llamafactory").get("image_max_pixels")
        pixels = limit if isinstance(limit, int) else None
        trained = trained_pictures(self.build.section("train"), pixels, self.build.path)
        return trained, trained.seen()


def _encoded(image: Image.Image) -> Iterator[bytes]:
    """The picture from good to poor; the last is 16 pixels wide at most, which fits any share."""
    for quality in _QUALITIES:
        yield _webp(image, quality)
    for scale in _SCALES:
        width, height = (max(round(side * scale), 1) for side in image.size)
        yield _webp(image.resize((width, height)), _QUALITIES[-1])
    yield _webp(image.resize((16, 16)), _QUALITIES[-1])


def _webp(image: Image.Image, quality: int) -> bytes:
    target = io.BytesIO()
    image.save(target, "WEBP", quality=quality, method=_QUICK)
    return target.getvalue()


def _small(image: Image.Image) -> tuple[str, Size]:
    copy = image.copy()
    copy.thumbnail((_SHEET_PX, 2 * _SHEET_PX))
    target = io.BytesIO()
    copy.save(target, "JPEG", quality=_SHEET_QUALITY)
    return _uri(target.getvalue(), "jpeg"), copy.size


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(data).decode()
