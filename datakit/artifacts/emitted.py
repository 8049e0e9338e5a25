"""emitted.json: what emit.llamafactory wrote into a build."""

from __future__ import annotations

from pydantic import BaseModel, Field

from datakit.artifacts.document import Document


class EmittedFile(BaseModel):
    """One data file: a JSON array with one row a line."""

    file: str
    """Its name in the build."""
    part: str
    """train, val or general."""
    pictures: bool
    """Whether its rows have pictures; the trainer cannot load the two kinds from one file."""
    records: int
    rows: int
    """Lines: a record stands as often as its `repeat` says."""


class Emitted(Document):
    """The data files of a build, by their entry in dataset_info.json."""

    trainer: str = "llamafactory"
    image_max_pixels: int | None = None
    """The largest picture in pixels where they were resized; None where they were not."""
    pictures_saved_anew: int = 0
    pictures_linked_softly: int = 0
    files: dict[str, EmittedFile] = Field(default_factory=dict)

    def entries(self, *splits: str) -> list[str]:
        """Entries of `splits` (of all when none is given), those with pictures first, for the trainer."""
        names = [name for name, file in self.files.items() if not splits or file.part in splits]
        return sorted(names, key=lambda name: not self.files[name].pictures)

    def rows(self, *splits: str) -> int:
        """Rows of `splits` together."""
        return sum(self.files[name].rows for name in self.entries(*splits))
