"""What the readers of tables share: which column is what, and the columns that are kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, Self

import polars as pl
from pydantic import model_validator

from datakit.core.box_units import BoxUnits
from datakit.core.errors import UserError, did_you_mean
from datakit.core.files import Stamp
from datakit.core.outcome import Batch
from datakit.core.remote_pictures import STORES, fault_of_root, is_address, is_remote
from datakit.core.step_context import StepContext
from datakit.core.training_columns import (
    KTO,
    LOSS,
    WEIGHTS,
    SourceColumn,
    column_meaning,
    mark_of,
    turn_meaning,
)
from datakit.core.transform import Columns, Package, Reader
from datakit.read._boxes import BoxColumn, BoxesOn, apart_from_boxes
from datakit.read._column_names import ColumnChooser
from datakit.read._dialogue import turns_of
from datakit.read._embedded import EmbeddedImages
from datakit.read._files import empty_source, found_files, stamp_of
from datakit.read._kinds import BYTES
from datakit.read._known_forms import PRE_TRAINING, other_form
from datakit.read._remote_images import RemoteImages
from datakit.read._rows import DIALOGUE, Block, Plan, Records, Turns, free_name
from datakit.read._rows_of_pairs import RowsOfPairs
from datakit.read._survey import Survey, survey_of


class TableReader(Reader):
    """Records out of rows. A source is gone through twice: for types and ids, then for the records."""

    path: str
    """The file, from the recipe's folder; a pattern such as `data/*.jsonl` takes every match, by name."""
    id: str | None = "id"
    """Column of the ids. A row without one gets an id made of its pictures, label and texts, which stays the
    same when rows are moved; equal rows get `-2`, `-3`. Numbers become texts. null makes every id so."""
    keep: tuple[str, ...] | None = None
    """Further columns that the records keep; all when not given. One with a name that datakit uses itself
    gets `source_` before it."""
    drop: tuple[str, ...] = ()
    """Columns, or keys of turns, that are left out although they mean something to a trainer, such as
    `[videos, reasoning_content]`."""
    images: Literal["none"] | None = None
    """`none` for data without pictures: none are looked for, and steps for pictures may find none."""
    image_root: str | None = None
    """Folder that pictures may not leave, and that their paths start from unless `image_base` says otherwise;
    that of the data file when not given. `s3://bucket/folder` (gs, oss, hdfs) for pictures of an object
    store, named by their paths below it or whole."""
    image_base: str | None = None
    """Folder that picture paths start from, where it is not `image_root`: pictures of links in it may lie
    anywhere in either folder."""

    @model_validator(mode="after")
    def _root_is_a_place(self) -> Self:
        if self.image_root is None or not is_address(self.image_root):
            return self
        if fault := fault_of_root(self.image_root):
            raise ValueError(f"`image_root` is {fault}")
        if self.image_base is not None:
            raise ValueError("`image_base` is for folders: paths below an address start there")
        return self

    def packages(self, context: StepContext) -> tuple[Package, ...]:
        """What reads the object store that pictures lie in, if they do."""
        root = self.image_root or ""
        scheme = root.partition("://")[0]
        return ((STORES[scheme], scheme),) if is_remote(root) else ()

    @abstractmethod
    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        """Blocks of at most so many rows, in the order of the source."""

    @abstractmethod
    def _plan(self, survey: Survey, source: str) -> Plan:
        """Where each part of a record stands. Raises UserError for a named column that is not there."""

    def _files(self, context: StepContext) -> tuple[Path, ...]:
        return tuple(found_files(self.path, context))

    def _declared(self, context: StepContext) -> tuple[Path, ...]:
        """The files, before anything in them is read."""
        return tuple(context.declared(file) for file in self._files(context))

    def _turns(self, files: tuple[Path, ...]) -> Turns:
        """What makes turns of a cell of the plan's `messages`; raises DialogueFault."""
        return turns_of

    def _image_folder(self, file: str, files: tuple[Path, ...]) -> Path:
        """Where picture paths of a data file start, unless `image_root` says otherwise."""
        return Path(file).parent

    def _image_paths(
        self, root: Path, context: StepContext, base: Path | None = None, beside: Path | None = None
    ) -> EmbeddedImages:
        return EmbeddedImages(root, context, base, beside)

    def _warnings(self, files: tuple[Path, ...], plan: Plan) -> list[str]:
        """What whoever builds should know of how the files were read, one line for each fact."""
        return []

    def _form_warnings(self, plan: Plan) -> list[str]:
        """What the rows may be besides data to learn."""
        return []

    def _survey(self, files: tuple[Path, ...]) -> Survey:
        return _surveyed(self, files, tuple(stamp_of(file) for file in files))

    def files(self, context: StepContext) -> list[Path]:
        return list(self._files(context))

    def columns(self, context: StepContext) -> Columns:
        return self._planned(self._declared(context))[0].schema()

    def read(self, context: StepContext) -> Iterator[Batch]:
        files = self._declared(context)
        plan, survey = self._planned(files)
        by_folder: dict[Path, EmbeddedImages] = {}

        def image_paths(file: str) -> EmbeddedImages:
            asked = self.image_root
            own = self._image_folder(file, files)
            if asked is not None and is_remote(asked):
                return by_folder.setdefault(Path(), RemoteImages(asked, context))
            if own not in by_folder:
                base = None if self.image_base is None else context.path(self.image_base)
                root = context.path(asked) if asked is not None else base or own
                beside = own if asked is not None and base is None else None
                by_folder[own] = self._image_paths(root, context, base, beside)
            return by_folder[own]

        if context.labels is not None and any(mark_of(name) is not None for name in context.labels.names):
            plan = replace(plan, marks=frozenset())  # classes are called so
        records = Records(plan, image_paths, survey.ids, self._turns(files), context.labels)
        if plan.note:
            yield Batch(pl.DataFrame(schema=plan.schema()), notes={"columns": plan.note})
        pairs = RowsOfPairs(plan, survey.kinds)
        for block in self._blocks(files, context.run.batch_rows):
            pairs.look(block)
            yield records.batch(block)
        notes = records.labels.warnings() + records.texts.warnings() + records.places.warnings()
        notes += records.boxes.warnings() + pairs.warnings()
        notes += [line for paths in by_folder.values() for line in paths.warnings()]
        warnings = [*self._warnings(files, plan), *notes, *self._form_warnings(plan)]
        told = {**({"warnings": warnings} if warnings else {}), **records.boxes.notes()}
        if told:
            yield Batch(pl.DataFrame(schema=plan.schema()), notes=told)

    def _planned(self, files: tuple[Path, ...]) -> tuple[Plan, Survey]:
        survey = self._survey(files)
        if survey.rows + survey.rejects == 0:
            raise empty_source(files or (Path(self.path),))
        source = str(files[0]) if files else self.path
        there = [*survey.kinds, *sorted(survey.dialogue), *survey.turn_keys]
        for name in self.drop:
            if name not in there and survey.rows:
                raise missing_column(name, "drop", [other for other in there if other != DIALOGUE], source)
        plan = self._plan(survey.without(self.drop), source)
        losses = plan.messages is not None and any(key in survey.turn_keys for key in WEIGHTS)
        marks = survey.marks - self._named_columns()
        losses = losses and not {*WEIGHTS} & {*self.drop}
        return replace(plan, turn_losses=losses, marks=marks), survey

    def training_columns(self, context: StepContext) -> list[SourceColumn]:
        """Columns that mean something to a trainer and that no part of the records has taken up."""
        plan, survey = self._planned(self._declared(context))
        survey, chats = survey.without(self.drop), plan.messages is not None
        columns = {source: name for name, (source, _) in plan.extra.items()}
        found = [
            SourceColumn(name, survey.filled[name], meaning, columns[name])
            for name in survey.kinds
            if name in columns
            and survey.filled.get(name)
            and (meaning := column_meaning(name, chats=chats)) is not None
        ]
        if chats and plan.label is not None and survey.kinds.get(plan.label) == pl.Boolean():
            found.append(SourceColumn(plan.label, survey.rows, KTO, ""))
        for key, count in survey.turn_keys.items() if chats else ():
            meaning = turn_meaning(key)
            if meaning is not None:
                found.append(SourceColumn(key, count, meaning, LOSS if key in WEIGHTS else "", of_turns=True))
        return found

    def class_columns(self, context: StepContext) -> list[str]:
        """Columns that the source itself says hold classes."""
        return []

    def source_columns(self, context: StepContext) -> list[str]:
        survey = self._survey(self._declared(context))
        return [name for name in (*survey.kinds, *sorted(survey.dialogue)) if name != DIALOGUE]

    def _check_form(self, survey: Survey, source: str, plan: Plan) -> Plan:
        """The plan. Raises UserError for data of another form, told by columns that no parameter names."""
        named = self._named_columns()
        columns = {**dict.fromkeys(survey.dialogue), **survey.kinds}
        fault = other_form(
            source,
            {name: kind for name, kind in columns.items() if name not in named and name != DIALOGUE},
            survey.filled,
            rows=survey.rows,
            has_chats=plan.messages is not None,
            has_pictures=any(survey.filled.get(name) for name in plan.images),
        )
        if fault is not None:
            raise fault
        return plan

    def _named_columns(self) -> set[str]:
        """The columns that the recipe names, each for what it is."""
        parameters = ("image", "label", "text", "messages", "boxes", "keep")
        values = [getattr(self, name) for name in parameters if name in self.model_fields_set]
        return {name for value in values for name in ([value] if isinstance(value, str) else value or ())}

    def _extra(self, survey: Survey, source: str, used_names: set[str]) -> dict[str, tuple[str, Any]]:
        """The further columns: name in the record -> name in the source and kind."""
        names = [name for name, kind in survey.kinds.items() if name not in used_names and kind != BYTES]
        if self.keep is not None:
            for name in self.keep:
                if name not in survey.kinds and survey.rows:
                    raise missing_column(name, "keep", list(survey.kinds), source)
            names = [name for name in self.keep if name in names]
        extra: dict[str, tuple[str, Any]] = {}
        for name in names:
            extra[free_name(name, [*survey.kinds, *extra])] = (name, survey.kinds[name])
        return extra


class RowReader(TableReader):
    """Records out of the rows of a table whose columns the recipe names."""

    image: str | tuple[str, ...] | None = "image"
    """Column of the pictures: a path or a list of paths a row. Several columns: their pictures in this order.
    When not given and there is no `image`: `images`, or another usual name such as `file_name`, `img_path`,
    `path` or `图片`, in any case; which was taken is noted."""
    label: str | None = "label"
    """Column of the labels. Numbers become texts; a blank label is null, and so is a word that says that
    there is none (nan, NULL, None, N/A, 无), unless the label file has it as a class. Signs that nobody sees,
    such as zero-width spaces, are taken out and told. When not given and there are neither `label` nor chats:
    `category`, `class`, `gt`, `类别`, `标签` or another usual name."""
    text: str | None = "text"
    """Column of the text that comes with the pictures: a question, or a dialogue with `<image>` places.
    In it, and in columns called `reason`, `description`, `question`, `answer` and the like, words that say
    that there is nothing (nan, NULL, None, N/A; in reasons and descriptions 无 too) are null, and counted."""
    boxes: str | None = None
    """Column of boxes, which become the column `boxes` in pixels of the upright pictures: a list of boxes or
    of objects (`bbox_2d`, `bbox` or `box` with `label`, `text`, `image`), ms-swift's `objects`, or a chat or
    text whose answers state boxes (`<|box_start|>`, `<box>`, JSON)."""
    box_units: BoxUnits | None = None
    """What their numbers are: `pixels` (left, top, right, bottom), `xywh` (left, top, width, height, as in
    COCO), `thousandths` of the sides (Qwen2-VL, Qwen3-VL, InternVL), `shares` from 0 to 1, `square_shares` of
    the picture padded to a square (LLaVA-1.5), `percent` (left, top, width, height, as in Label Studio), or
    `resized`: pixels after the resize that Qwen2.5-VL's processor does by itself. When not given: what the
    boxes say themselves (`bbox_mode: 1`, `bbox_type: norm_1000`, `unit: px`; a word that is not known leaves
    the record out), thousandths between the marks of Qwen2-VL, InternVL and DeepSeek-VL2, otherwise pixels;
    where the numbers may as well be thousandths, that is told (`boxes_unclear`)."""
    boxes_on: BoxesOn | None = None
    """The pixels of pictures that EXIF turns or mirrors: `upright`, as browsers and most programs show them,
    or `stored`, as the file has them (OpenCV's `IMREAD_UNCHANGED`, Pillow). When not given: `upright`, and
    told (`boxes_unclear`)."""
    messages: str | None = "messages"
    """Column of chats: a list of turns with `role` and `content`, or `from` and `value`, whose contents may
    hold pictures. When not given and there is no `messages`: `conversations`, or `prompt` with `completion`.
    A column `system` beside it becomes the first turn."""

    def _plan(self, survey: Survey, source: str) -> Plan:
        find = partial(self._found, survey, source)
        chooser = ColumnChooser(source, survey.kinds, survey.filled, survey.pictures)
        asked = self.model_fields_set
        messages = find("messages", self.messages) if "messages" in asked else chooser.messages()
        used = [name for name in (find("id", self.id), messages) if name]
        text = find("text", self.text) if "text" in asked else chooser.text(used)
        if "label" in asked or messages:  # beside chats a `category` is that of the chat
            label = find("label", self.label)
        else:
            label = chooser.label([*used, *([text] if text else [])])
        images = self._image_columns(find, chooser)
        id_, system = find("id", self.id), chooser.system() if messages else None
        completion = chooser.completion(messages)
        boxes = find("boxes", self.boxes)
        parts = (id_, label, text, messages, completion, system, boxes)
        used_names = {*images, *(name for name in parts if name)}
        extra = self._extra(survey, source, used_names - chooser.renamed())
        plan = Plan(
            id=id_,
            images=images,
            label=label,
            text=text,
            messages=messages,
            completion=completion,
            system=system,
            boxes=BoxColumn(boxes, self.box_units, on=self.boxes_on) if boxes else None,
            extra=apart_from_boxes(extra) if boxes else extra,
            note=chooser.note(),
        )
        return self._check_form(survey, source, plan)

    def _form_warnings(self, plan: Plan) -> list[str]:
        bare = plan.text and not (plan.images or plan.label or plan.messages)
        if not bare or "text" in self.model_fields_set:
            return []
        words = f"this is {PRE_TRAINING}, unless templates read it"
        return [f"the rows have a text and no picture, label or chat: {words}"]

    def _image_columns(self, find: Callable[..., str | None], chooser: ColumnChooser) -> tuple[str, ...]:
        if self.images == "none" or self.image is None:
            return ()
        if "image" in self.model_fields_set:
            names = (self.image,) if isinstance(self.image, str) else self.image
            return tuple(name for given in names if (name := find("image", given)))
        return chooser.image()

    def _found(
        self, survey: Survey, source: str, parameter: str, name: str | None, instead: str | None = None
    ) -> str | None:
        """The column if it is there. Raises UserError if it was asked for and is not."""
        if name is None or name in survey.kinds:
            return name
        if parameter not in self.model_fields_set:
            return instead if instead in survey.kinds else None
        if survey.rows:  # where no row can be read, the rejects say more than a missing column
            raise missing_column(name, parameter, list(survey.kinds), source)
        return None


def missing_column(name: str, parameter: str, names: list[str], source: str) -> UserError:
    listing = f"Columns there: {', '.join(names)}."
    return UserError(
        f"{source} has no column `{name}` (parameter `{parameter}`)",
        remedy=f"{did_you_mean(name, names)} {listing}".strip(),
    )


@lru_cache(maxsize=16)
def _surveyed(reader: TableReader, files: tuple[Path, ...], _stamps: tuple[Stamp, ...]) -> Survey:
    """The survey of the files, remembered until one of them changes."""
    return survey_of(partial(reader._blocks, files), reader.id, getattr(reader, "messages", None))
