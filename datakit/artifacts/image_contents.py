"""What the pictures of a build held when it was built."""

from __future__ import annotations

from collections.abc import Iterable

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.files import FileDigests


class ImageContents:
    """sha256 of pictures as a build has them; of those that it says nothing of, as they are now."""

    def __init__(self, build: BuildFolder) -> None:
        known = build.image_digests
        self._known = {} if known is None else dict(known.collect().select("path", "sha256").iter_rows())
        self._now = FileDigests()

    def of(self, paths: Iterable[str] | None) -> list[str]:
        """Hex digest of each picture, in order; "missing:<path>" for one that cannot be read."""
        return [self._known.get(path) or self._now.sha256(path) for path in paths or ()]
