"""The pictures of a build: named by content, each content once, upright and as the trainer will read them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from datakit.core.errors import UserError
from datakit.core.factored_chats import SharedAffixes
from datakit.core.files import FileDigests
from datakit.core.image import ImageProblem, is_plain, read_header, save_upright
from datakit.core.image_memory import DEFAULT_MB
from datakit.core.outcome import Reject
from datakit.core.record import digest
from datakit.core.step_context import StepContext
from datakit.emit._blurred import BLURRED, content_of, save_blurred, with_blurred
from datakit.emit._moved_boxes import BoxGuard, box_guard

How = Literal["link", "copy", "resize"]

_SUFFIX = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_REMEMBERED = 20_000
"""Paths whose place is remembered, so that memory stays flat (about 5 MB) at any number of pictures."""


@dataclass
class ImageFiles:
    """The folder of a build's pictures as it fills.

    >>> import tempfile
    >>> from datakit.testing import example_records
    >>> build = Path(tempfile.mkdtemp())
    >>> images = ImageFiles(build / "images", "copy", None, FileDigests(), workers=1)
    >>> places = images.place(example_records()["images"].explode().drop_nulls())
    >>> len(places), all((build / place).is_file() for place in places.values())
    (3, True)
    """

    folder: Path
    how: How
    max_pixels: int | None
    files: FileDigests
    workers: int
    memory_mb: int = DEFAULT_MB
    """What decoding one picture may take."""
    boxes: BoxGuard | None = None
    """What boxes of chats must be like; None where a step has seen to them."""
    saved_anew: int = 0
    """Pictures written anew: not plain, or over `max_pixels`."""
    linked_softly: int = 0
    """Pictures that no hard link could reach, so that the build points outside itself."""
    standing: Mapping[str, str] = field(default_factory=dict)
    """See `StepContext.standing_images`."""
    _places: dict[str, str] = field(default_factory=dict)

    @classmethod
    def into(
        cls, folder: Path, how: How, max_pixels: int | None, context: StepContext, *, trainer: bool = False
    ) -> ImageFiles:
        """An empty folder of pictures, with as many workers as the run allows; `trainer`: LLaMA-Factory's."""
        workers = context.run.workers or os.cpu_count() or 1
        boxes = box_guard(context, max_pixels, trainer=trainer)
        memory_mb, standing = context.run.image_memory_mb, context.standing_images
        return cls(folder, how, max_pixels, context.files, workers, memory_mb, boxes, standing=standing)

    def place(self, paths: Iterable[str]) -> dict[str, str]:
        """Source path -> path in the build, relative to it; every picture stands there when this returns.

        Raises UserError for a picture that cannot be read.
        """
        places, problems = self._tried(paths)
        for problem in problems.values():
            raise UserError(
                f"a picture cannot be emitted: {problem.detail}",
                remedy="Put guard.image before emitting: it rejects such records with their reason.",
            ) from problem
        return places

    def place_for(
        self, batch: pl.DataFrame, left_out: list[Reject], shared: Sequence[SharedAffixes] = ()
    ) -> tuple[pl.DataFrame, dict[str, str]]:
        """The records whose pictures all stand in the build, and where; the others join those left out.

        `shared` is what the chats of the batch lack, when they are folded.
        """
        if self.boxes is not None and "messages" in batch.columns:
            batch = self.boxes.fitting(batch, left_out, shared)
        batch = with_blurred(batch)
        places, problems = self._tried(batch["images"].explode().drop_nulls())
        if not problems:
            return batch, places
        is_broken = pl.element().is_in(list(problems))
        broken = batch["images"].list.eval(is_broken).list.any().fill_null(False)
        for id_, paths in batch.filter(broken).select("id", "images").iter_rows():
            problem = next(problems[path] for path in paths if path in problems)
            left_out.append(Reject(id_, problem.reason, problem.detail))
        return batch.filter(~broken), places

    def _tried(self, paths: Iterable[str]) -> tuple[dict[str, str], dict[str, ImageProblem]]:
        """Source path -> path in the build, and source path -> why it cannot stand there."""
        problems: dict[str, ImageProblem] = {}
        wanted = list(dict.fromkeys(paths))
        unknown = [path for path in wanted if path not in self._places]
        if len(self._places) + len(unknown) > _REMEMBERED:
            places = {path: self._places[path] for path in wanted if path in self._places}
            self._places = places
        # One path per content: two threads must not write one file.
        contents: dict[str, list[str]] = {}
        for path in unknown:
            contents.setdefault(content_of(path, self.files), []).append(path)
        if contents:
            self.folder.mkdir(exist_ok=True)
        for place, same in self._put_all(contents):
            if isinstance(place, ImageProblem):
                problems.update(dict.fromkeys(same, place))
            else:
                self._places.update(dict.fromkeys(same, place))
        return {path: self._places[path] for path in wanted if path not in problems}, problems

    def _put_all(self, contents: Mapping[str, list[str]]) -> Iterator[tuple[str | ImageProblem, list[str]]]:
        """Where each content stands, or why it cannot, with its paths."""
        others: list[tuple[str, list[str]]] = []
        for content, same in contents.items():
            # What a content is does not change: a picture that a build took as it came is taken so again.
            name = self.standing.get(content[:32]) if self.max_pixels is None else None
            if name is None or BLURRED in same[0]:
                others.append((content, same))
            else:
                self._transfer(same[0], self.folder / name)
                yield f"{self.folder.name}/{name}", same
        if others:
            with ThreadPoolExecutor(self.workers) as pool:  # Pillow decodes without the interpreter's lock
                placed = pool.map(lambda pair: self._put(pair[1][0], pair[0]), others)
                yield from zip(placed, (same for _, same in others), strict=True)

    def _put(self, path: str, sha256: str) -> str | ImageProblem:
        try:
            if BLURRED in path:
                return f"{self.folder.name}/{self._save_blurred(path, sha256).name}"
            header = read_header(path)
            pixels = header.width * header.height
            if is_plain(header) and (self.max_pixels is None or pixels <= self.max_pixels):
                target = self.folder / f"{sha256[:32]}.{_SUFFIX[header.format]}"
                self._transfer(path, target)
            else:
                target = self._save_anew(path, sha256)
        except ImageProblem as problem:
            return problem
        return f"{self.folder.name}/{target.name}"

    def _save_anew(self, path: str, sha256: str) -> Path:
        stem = self.folder / digest(["upright", sha256, self.max_pixels]).hex()
        for suffix in (".jpg", ".png"):
            if (written := stem.with_suffix(suffix)).exists():
                return written
        self.saved_anew += 1
        return save_upright(path, stem, max_pixels=self.max_pixels, memory_mb=self.memory_mb)

    def _save_blurred(self, path: str, content: str) -> Path:
        stem = self.folder / digest(["blurred", content, self.max_pixels]).hex()
        for suffix in (".jpg", ".png"):
            if (written := stem.with_suffix(suffix)).exists():
                return written
        self.saved_anew += 1
        return save_blurred(path, stem, max_pixels=self.max_pixels, memory_mb=self.memory_mb)

    def _transfer(self, path: str, target: Path) -> None:
        if self.how != "link":
            if not target.exists():
                shutil.copyfile(path, target)
            return
        try:
            self.files.link(os.path.realpath(path) if os.path.islink(path) else path, target)
        except FileExistsError:
            return
        except OSError:  # another file system, or one without hard links
            self.linked_softly += 1
            target.symlink_to(os.path.realpath(path))
