"""Pictures of an object store -> their copies on this machine, many fetched at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datakit.core.errors import Exit, UserError
from datakit.core.image import ImageProblem
from datakit.core.remote_pictures import Copied, fetched, is_remote
from datakit.core.step_context import StepContext
from datakit.read._embedded import EmbeddedImages
from datakit.read._images import ImageFault, check_no_base64


class RemoteImages(EmbeddedImages):
    """Copies of pictures below one URL. Nothing else is read, so that data cannot use the credentials."""

    def __init__(self, root: str, context: StepContext) -> None:
        super().__init__(Path(), context)
        self._asks = context.looks_at_stores
        self.url = root.rstrip("/")
        self._copies: dict[str, Copied] = {}
        self._expected: list[str] | None = None
        """URLs of the cells that are looked through; None while pictures are asked for."""
        self._is_readable = False
        """Whether a picture was readable, or absent for another reason than a refusal."""

    def expect(self, cells: Iterable[Any]) -> None:
        """Fetches the pictures of some cells at once."""
        self._expected = []
        for cell in cells:
            try:
                self.of(cell)
            except ImageFault:  # told when the cell is asked for
                continue
        urls, self._expected = self._expected, None
        self._copies = fetched(urls, self.folder, look=self._asks)
        self._check_readable(list(self._copies.values()))

    def _check_readable(self, copies: list[Copied]) -> None:
        """Raises UserError where every picture so far may not be read: that is not about pictures."""
        refused = [copied for copied in copies if isinstance(copied, ImageProblem)]
        self._is_readable |= any(problem.reason != "image_no_access" for problem in refused)
        self._is_readable |= len(refused) < len(copies)
        if not self._is_readable and len(refused) > 1:
            raise UserError(
                f"none of the first {len(refused):,} pictures may be read: {refused[0].detail}",
                remedy="Let these credentials read what lies below `image_root`, or set others.",
                exit_code=Exit.PROVIDER,
            )

    def _named(self, path: Any) -> str:
        """The copy of a picture that is named by its URL or its path below the root. Raises ImageFault."""
        if type(path) is not str or not path or "\0" in path or path.startswith("data:"):
            return super()._named(path)
        check_no_base64(path)
        url = self._below(path)
        if self._expected is not None:
            self._expected.append(url)
            return url
        if url not in self._copies:
            self._copies |= fetched([url], self.folder, look=self._asks)
        copied = self._copies[url]
        if not isinstance(copied, str):
            raise ImageFault(copied.reason, copied.detail)
        return copied

    def _below(self, path: str) -> str:
        url = path if is_remote(path) else f"{self.url}/{path.removeprefix('./')}"
        below = url.removeprefix(f"{self.url}/")
        if below == url or {"", ".", ".."} & {*below.split("/")}:
            words = (
                "set `image_root` to an address above it" if is_remote(path) else "name what lies below it"
            )
            raise ImageFault("image_outside", f"picture {path[:200]!r} leaves its root {self.url}; {words}")
        return url
