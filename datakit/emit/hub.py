"""A data set as the Hugging Face hub holds it, on disk and, when asked, pushed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from pydantic import Field, model_validator

from datakit.core import croissant
from datakit.core.credentials import masked
from datakit.core.errors import Exit, UserError, missing_extra
from datakit.core.files import FileDigests
from datakit.core.record import TRAIN, VAL
from datakit.core.step_context import StepContext
from datakit.core.transform import EVERY, Artifact, Emitter, FinalRecords, Package
from datakit.emit._hub_card import HubCard, SplitFacts
from datakit.emit._plain_parquet import PlainParquet
from datakit.emit._records import PLACED, SPLITS, nothing_to_train
from datakit.emit._tables import ImageForm, Tables, chosen_columns, limit_fault, placing

FOLDER = "hub"
_ABOUT = "Made by datakit for fine-tuning a vision-language model."
TOKEN = "HF_TOKEN"
"""Environment variable with the key of the hub."""
_SHARD_BYTES = 500_000_000
"""Largest file, about what the hub recommends."""
_ALWAYS = ("id", "messages", "images")
Files = dict[str, list[Path]]
"""Split -> its files."""


class Hub(Emitter):
    """`hub/`: Parquet files with the pictures in them and the card README.md, as the hub holds a data set.

    `datasets.load_dataset("build/<name>/hub")` gives a DatasetDict with the splits train, validation and
    general; `images` are decoded as pictures, `label` and all other columns are there. A training record
    with `repeat` 3 has three rows. With `push: owner/name` the folder is uploaded as well, into a private
    repository unless `private: false`; the key comes from the environment variable HF_TOKEN. An unchanged
    build is not pushed again. Files are of 500 MB at most.

    Left out unless `columns` names them: `split`, `repeat`, `set`, `source_file`, `source_line`; and in any
    case columns in which no record has a value. The card says the sizes, and of the task: image-text-to-text,
    image-classification where every answer is the record's label alone, text-generation without pictures.
    `croissant.json` beside it says for programs what the files are (Croissant 1.0). Needs the extra `hub`.
    Leaves out records that a trainer would stop at, as emit.llamafactory does. Raises
    UserError for an upload that the hub refuses.
    """

    version: ClassVar[int] = 4

    push: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    """Repository on the hub, `owner/name`; nothing leaves the machine when not given."""
    private: bool = True
    """Whether a repository that the push creates is private."""
    image_max_pixels: int | None = Field(default=None, ge=784)
    """Larger pictures are scaled down to this."""
    columns: tuple[str, ...] | None = None
    """Columns besides `id`, `messages` and `images`; all but those above when not given."""
    licence: str | None = None
    """The hub's word for the licence, such as `cc-by-4.0`; `unknown` when not given."""

    @model_validator(mode="after")
    def _fits_together(self) -> Hub:
        fault = limit_fault("bytes", self.image_max_pixels)
        if fault:
            raise ValueError(fault)
        return self

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "messages", "images", *(self.columns or ()))

    def carries(self, context: StepContext) -> tuple[str, ...]:
        return EVERY if self.columns is None else self.columns

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return EVERY if self.columns is None else PLACED

    def credentials(self, context: StepContext) -> tuple[str, ...]:
        return (TOKEN,) if self.push else ()

    def packages(self, context: StepContext) -> tuple[Package, ...]:
        return (("datasets", "hub"),)

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        _check_installed()
        token = _token() if self.push else None
        target = folder / FOLDER
        data = target / "data"
        data.mkdir(parents=True)
        form: ImageForm = "bytes"
        hidden = folder / ".hub-pictures"
        images = placing(form, hidden, hidden, self.image_max_pixels, context)
        columns = chosen_columns(records, self.columns)
        tables = Tables(data, columns, form, images, "a trainer", context.left_out, shard_bytes=_SHARD_BYTES)
        try:
            tables.fill(records)
            if not tables.rows.get(TRAIN):
                raise nothing_to_train(context.left_out)
            filled = {*_ALWAYS, *tables.filled}
            parquet = PlainParquet([name for name in columns if name in filled], tables.group_rows)
            files = tables.close("{part}-{number:05d}-of-{count:05d}.parquet", parquet.write)
        finally:
            tables.release()
            if hidden.exists():
                shutil.rmtree(hidden)
        readme = self._card(context.name, records.schema, columns, tables, parquet, files).text()
        (target / "README.md").write_text(readme, encoding="utf-8", newline="\n")
        self._croissant(target, context.name, files)
        if self.push and token:
            _upload(target, self.push, token, private=self.private)
        return [
            *(
                Artifact(path=path.relative_to(folder).as_posix(), kind="data", records=_height(path))
                for split in SPLITS
                for path in files.get(split, ())
            ),
            Artifact(path=f"{FOLDER}/README.md", kind="card"),
            Artifact(path=f"{FOLDER}/{croissant.FILE}", kind="card"),
        ]

    def _croissant(self, target: Path, name: str, files: Files) -> None:
        """Writes what the files are as JSON-LD, for programs that look for data sets."""
        digests = FileDigests()
        listed = [
            croissant.File(
                path.relative_to(target).as_posix(),
                "validation" if split == VAL else split,
                digests.sha256(path),
                path.stat().st_size,
                pl.read_parquet_schema(path),
            )
            for split in SPLITS
            for path in files.get(split, ())
        ]
        text = croissant.croissant(name, _ABOUT, self.licence or "unknown", listed, {"citeAs": name})
        (target / croissant.FILE).write_text(text, encoding="utf-8", newline="\n")

    def _card(
        self, name: str, schema: Any, columns: list[str], tables: Tables, parquet: PlainParquet, files: Files
    ) -> HubCard:
        return HubCard(
            name=name,
            licence=self.licence,
            task=parquet.task.word(),
            features=parquet.features,
            types={column: _type(column, schema[column]) for column in parquet.columns},
            empty=[column for column in columns if column not in parquet.columns],
            splits=[
                SplitFacts(
                    split,
                    tables.records[split],
                    tables.rows[split],
                    [parquet.sizes[path] for path in files[split]],
                )
                for split in SPLITS
                if split in files
            ],
        )


def _type(column: str, dtype: Any) -> str:
    return "list of pictures" if column == "images" else str(dtype).replace("|", "\\|")


def _height(path: Path) -> int:
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def _check_installed() -> None:
    try:
        import datasets  # noqa: F401
    except ImportError:
        raise missing_extra("datasets", "hub", "emit.hub") from None


def _token() -> str:
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise UserError(
            f"`push` needs a key of the hub in the environment variable {TOKEN}",
            remedy=f"export {TOKEN}=..., or leave out `push`.",
            exit_code=Exit.PROVIDER,
        )
    return token


def _upload(folder: Path, repository: str, token: str, *, private: bool) -> None:
    """Puts the folder's files into the repository, in one commit that replaces the data that was there."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=token)
    try:
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=folder,
            commit_message="Upload the data set of a datakit build",
            delete_patterns=["data/*.parquet"],
        )
    except HfHubHTTPError as error:
        lines = masked(str(error)).strip().splitlines()
        raise UserError(
            f"the hub refused the upload to {repository}: {lines[0] if lines else error}",
            remedy=f"Check {TOKEN} (it must be allowed to write) and the repository's owner.",
            exit_code=Exit.PROVIDER,
        ) from None
    except Exception as error:  # requests, httpx or httpx2, by the library's version; the user sees it
        raise UserError(
            f"the hub cannot be reached for the upload to {repository}: "
            f"{type(error).__name__}: {masked(str(error))}",
            remedy="Check the network; or leave out `push` and upload hub/ later.",
            exit_code=Exit.PROVIDER,
        ) from None
