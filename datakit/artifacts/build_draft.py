"""A build that is being written: a method for each of its files. It is put in its place when it is whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from datakit.artifacts import names
from datakit.artifacts.build_folder import IMAGE_DIGESTS, BuildFolder
from datakit.artifacts.checked import CheckReport
from datakit.artifacts.emitted import Emitted
from datakit.artifacts.manifest import FileStamp, Manifest, stamp, stamp_from
from datakit.artifacts.report import BuildReport
from datakit.artifacts.serving import Serving
from datakit.artifacts.suspects import Suspect, write_suspects
from datakit.artifacts.written_card import WrittenCard
from datakit.core.answer import AnswerFormat
from datakit.core.compared import KEYS

_ROW_GROUP = 16_384
"""Records of a row group, which is in memory while it is written."""
_LEVEL = 1
"""Of zstd: takes half the time of level 3, for files a third larger (2026-11-24)."""


@dataclass(frozen=True)
class BuildDraft(BuildFolder):
    """A build folder that is written, and read as far as it is. Each file is written whole or not at all."""

    def write_manifest(self, manifest: Manifest) -> None:
        self._write(names.MANIFEST, manifest.to_json(sort_keys=True))
        self.__dict__["manifest"] = manifest  # it is written twice: for those that finish the build, and last

    def write_report(self, report: BuildReport) -> None:
        self._write(names.REPORT, report.to_json())

    def write_records(self, records: pl.LazyFrame) -> None:
        """Writes all records with all columns but their messages, which the data files hold."""
        records.drop("messages", strict=False).sink_parquet(
            self.records_file,
            compression="zstd",
            compression_level=_LEVEL,
            row_group_size=_ROW_GROUP,
        )

    def copy_rejects(self, path: Path) -> None:
        """Takes the rejects over that the steps wrote to `path`."""
        shutil.copyfile(path, self.rejects_file)

    def write_recipe(self, text: str) -> None:
        """Writes the recipe as resolved, in YAML."""
        self._write(names.RECIPE, text.encode())

    def write_input_images(self, digests: Mapping[str, str | None]) -> None:
        """Writes the paths of every picture that the sources name, sorted, with their sha256."""
        frame = pl.DataFrame(sorted(digests.items()), schema=IMAGE_DIGESTS, orient="row")
        frame.write_parquet(self.path / names.INPUTS)

    def write_compared(self, frames: Iterable[pl.DataFrame]) -> None:
        """Writes what the records ask and answer, in the columns of core.compared, and digests of chats."""
        schema = {"id": pl.String(), **KEYS}
        every = pl.concat([pl.DataFrame(schema=schema), *frames], how="diagonal")
        every.write_parquet(self.path / names.COMPARED, compression="zstd", compression_level=_LEVEL)

    def write_suspects(self, by_task: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Writes the records whose label is doubted, in order; those of several tasks by their score."""
        rows = [{**row, "task": task} for task, own in by_task.items() for row in own]
        suspects = [Suspect.model_validate(row) for row in rows]
        if len(by_task) > 1:
            suspects.sort(key=lambda one: (-one.score, one.rank, one.id))
        write_suspects(self.path / names.SUSPECTS, suspects)

    def write_labels(self, content: bytes) -> None:
        """Writes the label file as it was read."""
        self._write(names.LABELS, content)

    def write_template(self, name: str, source: str) -> None:
        """Writes a template under the name that the recipe gives it."""
        target = self.path / names.TEMPLATES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source, encoding="utf-8", newline="\n")

    def write_answer_format(self, form: AnswerFormat) -> None:
        self._write(names.ANSWER_FORMAT, form.to_json())

    def write_emitted(self, emitted: Emitted) -> str:
        """Writes what emit.llamafactory has to say of its files; the file's name."""
        # Format 1 names no version: an emitter's bytes are part of its `version`, which makes builds stale.
        unsaid = {"version"} if emitted.version == 1 else None
        return self._write(names.EMITTED, _ascii(emitted.model_dump(exclude=unsaid)))

    def write_dataset_info(self, entries: Mapping[str, Any]) -> str:
        """Writes the trainer's index in ASCII, because it is opened in the locale's encoding; its name."""
        return self._write(names.DATASET_INFO, _ascii(entries))

    def write_training(self, text: str) -> str:
        """Writes LLaMA-Factory's configuration of the training; the file's name."""
        return self._write(names.TRAINING, text.encode())

    def write_export(self, text: str) -> str:
        """Writes LLaMA-Factory's configuration of the export; the file's name."""
        return self._write(names.EXPORT, text.encode())

    def write_check(self, check: CheckReport) -> str:
        """Writes the check's findings; the file's name."""
        return self._write(names.CHECK, check.to_json())

    def write_card(self, written: WrittenCard) -> str:
        """Writes which pages are the build's card; the file's name. May be written into a finished build."""
        return self._write(names.CARD, written.to_json())

    def write_serving(self, serving: Serving, script: str) -> tuple[str, str]:
        """Writes the serving plan and the script that follows it; the names of both."""
        name = self._write(names.SERVE_SCRIPT, script.encode())
        (self.path / name).chmod(0o755)
        return self._write(names.SERVING, serving.to_json()), name

    def write_asking(self, python: str, script: str) -> tuple[str, str]:
        """Writes the programs that ask the served model; the names of both."""
        asker = self._write(names.ASK_PYTHON, python.encode())
        by_curl = self._write(names.ASK_SCRIPT, script.encode())
        for name in (asker, by_curl):
            (self.path / name).chmod(0o755)
        return asker, by_curl

    def stamps(self, known: Mapping[str, FileStamp], images: Collection[str]) -> dict[str, FileStamp]:
        """Name -> stamp of every file but the manifest, those in `known` as given.

        `pictures` and what stands in images/ are not hashed: their names say their content.
        """
        stamps = {}
        for name, entry in _files(self.path):
            if name == names.MANIFEST:
                continue
            if name in images or name.startswith(f"{names.IMAGES}/"):
                stamps[name] = stamp_from(entry.stat())
            else:
                stamps[name] = known.get(name) or stamp(Path(entry.path), hashed=True)
        return stamps

    def _write(self, name: str, data: bytes) -> str:
        draft = self.path / f".{name}.part"
        draft.write_bytes(data)
        os.replace(draft, self.path / name)
        return name


def _files(folder: str | Path, below: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Path from the folder -> entry, of every file in it, those that links lead to included."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, f"{below}{entry.name}/")
            elif entry.is_file():
                yield f"{below}{entry.name}", entry


def _ascii(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode("ascii") + b"\n"
