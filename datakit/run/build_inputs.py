"""What a build rests on, as it stood before the first step, and what of it was edited while the build ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from datakit.artifacts.manifest import FileStamp, stamp
from datakit.core.errors import DatakitError, Exit
from datakit.core.files import FileDigests
from datakit.core.step_context import StepContext
from datakit.recipe.recipe import Recipe
from datakit.run import manifest as manifests

_SHOWN = 5


class InputsChanged(DatakitError):
    """Files were edited while a build read them, so that it may hold the old and the new side by side."""

    exit_code = Exit.FAILED


@dataclass(frozen=True)
class BuildInputs:
    """Recipe, labels and templates enter a build as they were read once; of sources and pictures, which are
    too large for that, it is known what they looked like."""

    recipe: Recipe
    context: StepContext
    settings: str
    sources: Mapping[str, FileStamp]

    @classmethod
    def read(cls, recipe: Recipe, context: StepContext, limit: int | None) -> BuildInputs:
        """The inputs as they are. Every template is read, for good where the context is pinned."""
        settings = manifests.settings_digest(recipe, context, limit)
        return cls(recipe, context, settings, manifests.stamp_files(recipe, context))

    def check(self, images: Mapping[str, str]) -> None:
        """`images`: path -> sha256 of every picture when it was read.

        Raises InputsChanged naming the files that are not what they were.
        """
        changed = sorted({*self._changed_sources(images), *_changed_images(images, self.context.files)})
        if not changed:
            return
        names = "\n".join(f"  {path}" for path in changed[:_SHOWN])
        more = f"\n  and {len(changed) - _SHOWN:,} more" if len(changed) > _SHOWN else ""
        files = "1 file was" if len(changed) == 1 else f"{len(changed):,} files were"
        raise InputsChanged(
            f"{files} changed while the build ran, so it may hold old and new together:\n{names}{more}\n"
            "  Run the same command again when nobody writes there: what was answered is in the result store "
            "and is not paid for again."
        )

    def _changed_sources(self, images: Mapping[str, str]) -> Iterator[str]:
        """Files that steps declare; pictures among them are told by their content alone."""
        current = {str(path) for path in manifests.declared_files(self.recipe, self.context)}
        for path in current | self.sources.keys():
            old = self.sources.get(path)
            stays = old is not None and path in current
            if not stays or (path not in images and not _untouched(Path(path), old, self.context.files)):
                yield path


def _untouched(path: Path, old: FileStamp | None, files: FileDigests) -> bool:
    """Whether nobody wrote a file: one that was edited and put back may have been read in between."""
    now = stamp(path, hashed=False)
    if old is None or old.unchanged(now):
        return old is not None
    same = (old.bytes, old.mtime_ns, old.inode) == (now.bytes, now.mtime_ns, now.inode)
    return same and files.sha256(path) == old.sha256  # a hard link or another mode changes the rest


def _changed_images(images: Mapping[str, str], files: FileDigests) -> Iterator[str]:
    now = files.sha256_of(images)
    return (path for path, sha256 in images.items() if now[path] != sha256)
