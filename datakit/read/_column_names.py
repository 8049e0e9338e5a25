"""What the field calls the columns of pictures, labels, texts and chats, and which of them a source has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from datakit.core.errors import UserError
from datakit.core.training_columns import plain_name
from datakit.read._kinds import BYTES, JSON_TEXT

IMAGE_NAMES = tuple(
    "image images file_name filename image_path img_path img imgs picture pictures pic photo "  # noqa: SIM905
    "image_file image_name img_name path file_path file "
    "图片 图像 图片路径 图片名 图片名称 图片文件 图 照片 截图 image_url".split()
)
"""Names of a column of pictures, the most usual first."""
LABEL_NAMES = tuple(
    "label category class class_name label_name category_name gt ground_truth "  # noqa: SIM905
    "类别 标签 分类 类目 类别名 类别名称 标签名 类名 labels".split()
)
TEXT_NAMES = ("text",)
MESSAGES_NAMES = ("messages", "conversations", "conversation", "dialogue", "dialog")
_SURE = frozenset(
    "image images img imgs picture pictures pic photo 图片 图像 照片 截图".split()  # noqa: SIM905
)
"""Names that say picture by themselves; columns of the other names must hold names of picture files."""
_USUAL = {
    "picture": ("image", "images"),
    "label": ("label",),
    "text": ("text",),
    "chat": MESSAGES_NAMES[:2],
}
"""Part of a record -> the names that need no word."""
_PLAIN = (pl.String(), pl.Int64(), pl.Boolean())
PICTURE_SUFFIXES = tuple(
    ".jpg .jpeg .jfif .png .webp .bmp .gif .tif .tiff .avif .heic .heif".split()  # noqa: SIM905
)


_IMAGES = {plain_name(name) for name in IMAGE_NAMES}


def may_hold_pictures(column: str) -> bool:
    """Whether the name is one of a column of pictures."""
    return plain_name(column) in _IMAGES


def names_picture(value: Any) -> bool:
    """Whether a value is a picture's path, its bytes, or holds some."""
    if type(value) is str:
        return value.rstrip("\"'] \n").lower().endswith(PICTURE_SUFFIXES)
    if isinstance(value, bytes):
        return True
    if isinstance(value, Mapping):
        return value.get("bytes") is not None or isinstance(value.get("path"), str)
    return isinstance(value, list | tuple) and any(map(names_picture, value))


@dataclass(frozen=True)
class Choice:
    """The columns that were taken for one part of a record."""

    columns: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Further candidates, which were not taken."""


@dataclass
class ColumnChooser:
    """Takes columns by the field's names, where a recipe names none."""

    source: str
    kinds: Mapping[str, Any]
    filled: Mapping[str, int]
    """Of columns that may hold pictures: rows with a value."""
    pictures: Mapping[str, int]
    """Of columns that may hold pictures: values that name or hold one."""
    taken: dict[str, Choice] = field(default_factory=dict)
    """Part of a record -> what was taken for it, where the default names of a reader were not there."""

    def image(self) -> tuple[str, ...]:
        """The column of the pictures. Raises UserError where two hold paths of pictures."""
        usual = [name for name in ("image", "images") if name in self.kinds]
        candidates = [name for name in self._named(IMAGE_NAMES) if self._holds_pictures(name)]
        candidates.sort(key=lambda name: not self.pictures.get(name))
        if usual and (self.filled.get(usual[0], 0) or not candidates):
            others = [name for name in candidates if name not in usual and self.pictures.get(name)]
            return self._take("picture", [usual[0], *others])
        if len(rivals := [name for name in candidates if self.pictures.get(name)]) > 1:
            both = " and ".join(f"`{name}`" for name in rivals[:3])
            raise UserError(
                f"{self.source}: the columns {both} all name pictures",
                remedy=f"Say which: `image: {rivals[0]}`, or `image: [{', '.join(rivals[:3])}]` for all.",
            )
        return self._take("picture", candidates or usual)

    def label(self, used: Iterable[str]) -> str | None:
        """The column of the labels."""
        return self._first("label", LABEL_NAMES, _PLAIN, used)

    def text(self, used: Iterable[str]) -> str | None:
        """The column of the texts."""
        return self._first("text", TEXT_NAMES, _PLAIN[:1], used)

    def messages(self) -> str | None:
        """The column of the chats. A text in a CSV file counts under its usual names only."""
        nested = [name for name in self._named(MESSAGES_NAMES) if self.kinds[name] != pl.String()]
        exact = [name for name in MESSAGES_NAMES[:2] if name in self.kinds]
        texts = [name for name in self._named(MESSAGES_NAMES[:2]) if self.kinds[name] == pl.String()]
        columns = self._take("chat", list(dict.fromkeys([*exact, *nested, *texts])))
        if not columns and self.completion("prompt") is not None:
            return "prompt"
        return columns[0] if columns else None

    def completion(self, messages: str | None) -> str | None:
        """The column of the turns after those of `prompt`, as TRL keeps chats."""
        both = messages == "prompt" and {"prompt", "completion"} <= self.kinds.keys()
        nested = both and all(self.kinds[name] != pl.String() for name in ("prompt", "completion"))
        return "completion" if nested else None

    def system(self) -> str | None:
        """The column of the system's texts beside chats."""
        return next(iter(self._named(("system", "system_prompt"))), None)

    def renamed(self) -> set[str]:
        """Columns that were found by another name than the parameter's own, and can be kept by theirs too."""
        return {
            name
            for part, choice in self.taken.items()
            for name in choice.columns
            if part != "chat" and name not in _USUAL[part] and self.kinds[name] in _PLAIN
        }

    def note(self) -> str:
        """What was taken, in one line; "" where every column has its usual name."""
        parts = [
            f"`{choice.columns[0]}` as {part}" + (f" (not {_quoted(choice.others)})" if choice.others else "")
            for part in _USUAL
            if (choice := self.taken.get(part, Choice())).columns
            and (choice.columns[0] not in _USUAL[part] or choice.others)
        ]
        return f"took {', '.join(parts)}" if parts else ""

    def _first(
        self, part: str, names: Sequence[str], kinds: Sequence[Any], used: Iterable[str]
    ) -> str | None:
        if names[0] in self.kinds:
            fitting = [name for name in self._named(names) if self.kinds[name] in kinds and name != names[0]]
            self._take(part, [names[0], *fitting])
            return names[0]
        fitting = [name for name in self._named(names) if self.kinds[name] in kinds and name not in {*used}]
        columns = self._take(part, fitting)
        return columns[0] if columns else None

    def _take(self, part: str, candidates: Sequence[str]) -> tuple[str, ...]:
        self.taken[part] = Choice(tuple(candidates[:1]), tuple(candidates[1:]))
        return tuple(candidates[:1])

    def _named(self, names: Sequence[str]) -> list[str]:
        """The columns of these names, the most usual name first."""
        order = {plain_name(name): number for number, name in reversed(list(enumerate(names)))}
        fitting = [name for name in self.kinds if plain_name(name) in order]
        return sorted(fitting, key=lambda name: order[plain_name(name)])

    def _holds_pictures(self, name: str) -> bool:
        kind, filled = self.kinds[name], self.filled.get(name, 0)
        if not filled:
            return False
        if plain_name(name) in _SURE and (
            kind in (BYTES, JSON_TEXT, pl.String()) or isinstance(kind, pl.List)
        ):
            return True
        return 2 * self.pictures.get(name, 0) >= filled


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:3])
