"""Jinja prompts and answers: sandboxed, strict about undefined names, safe against tokens in the data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence, Set
from contextlib import suppress
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateNotFound, TemplateSyntaxError, meta, nodes

from datakit.core.contract_words import Language
from datakit.core.errors import UserError, did_you_mean
from datakit.core.template_bounds import BoundedEnvironment
from datakit.core.template_files import MAX_BYTES, KeptFiles, TextLoader, files_below
from datakit.core.template_filters import FILTERS, Slot
from datakit.core.template_names import names_from_outside, needed_names

__all__ = ["MAX_BYTES", "PROMPT_ROLES", "Templates", "TrustedText", "escape_tokens"]


class TrustedText(str):
    """Text that datakit made itself (label block, image places): rendered as it is."""

    __slots__ = ()


PROMPT_ROLES = ("system", "user", "observation")
"""Roles whose turns are read and not learnt; every other turn is a target."""

_MEDIA = re.compile(r"<(image|video|audio)>")
_SPECIAL = re.compile(r"<\|([^<>|]{1,40})\|>")
_TOOL = re.compile(r"<(/?(?:tool_call|tool_response|think))>")
_TURN = re.compile(r"\{\{(idx)\}\}")
"""The one slot that LLaMA-Factory fills in a prompt; other double braces are text (LaTeX, templates)."""
BREAKING = r"<(?:image|video|audio)>|<\|(?:im_start|im_end|endoftext|image_pad|video_pad)\|>"
"""What the trainer takes for a place of a medium, for the end of a turn or for pixels, wherever it stands."""
_BREAKING = re.compile(BREAKING)
_BREAKING_BUT_IMAGES = re.compile(BREAKING.replace("image|", "", 1))


def escape_tokens(text: str) -> str:
    """`text` without anything the trainer would take for a media place, a control token or a slot.

    `<image>` becomes `＜image＞`, `<|im_end|>` becomes `＜|im_end|＞`, `{{idx}}` becomes `｛｛idx｝｝`
    (LLaMA-Factory fills the last with the turn number). Readers keep seeing the same words.
    """
    if "<" in text:
        text = _MEDIA.sub(r"＜\1＞", text)
        text = _SPECIAL.sub(r"＜|\1|＞", text)
        text = _TOOL.sub(r"＜\1＞", text)
    if "{{" in text:
        text = _TURN.sub(r"｛｛\1｝｝", text)
    return text


_WORDS = (
    *("image>", "video>", "audio>", "tool_call>", "/tool_call>", "tool_response>", "/tool_response>"),
    *("think>", "/think>"),
)
_STARTS = sorted(
    {word[:end] for word in _WORDS for end in range(1, len(word))}, key=lambda start: -len(start)
)
UNFINISHED = rf"(?:<(?:{'|'.join(_STARTS)}|\|[^<>|]{{0,40}}\|?)?|\{{(?:\{{(?:i(?:d(?:x\}}?)?)?)?)?)"
"""How a text ends that another could make a token of."""
_UNFINISHED = re.compile(UNFINISHED + r"\Z")
_ANY = re.compile("|".join(pattern.pattern for pattern in (_MEDIA, _SPECIAL, _TOOL, _TURN)))


def is_unfinished(text: str) -> bool:
    """Whether what follows the text could make a token of its end (`<ima`, `<|im_`, `{{id`)."""
    return _UNFINISHED.search(text, max(0, len(text) - 44)) is not None


def joined(parts: Sequence[str]) -> str:
    """The parts as one text; tokens that only their joining makes are escaped, those within a part stay.

    >>> joined(["a <im", "age> b", "<image>"])
    'a ＜image＞ b<image>'
    """
    text = "".join(parts)
    if not any(is_unfinished(part) for part in parts):
        return text
    ends = set(accumulate(map(len, parts)))

    def replaced(match: re.Match[str]) -> str:
        is_split = any(match.start() < end < match.end() for end in ends)
        return escape_tokens(match.group()) if is_split else match.group()

    return _ANY.sub(replaced, text)


def escape_unless(text: str, meant: Set[str]) -> str:
    """`text` without the tokens that are not `meant`; `<image>` places are counted elsewhere."""
    if "<" not in text and "{{" not in text:
        return text
    return _ANY.sub(
        lambda match: match.group() if match.group() in meant else escape_tokens(match.group()), text
    )


def tokens_of(text: str) -> set[str]:
    """Every media place, control token and slot of a text."""
    return {match.group() for match in _ANY.finditer(text)}


def breaking_token(text: str, *, images: bool = False) -> str:
    """The first token of a target at which the trainer would break, "" for a text that has none.

    Targets are never rewritten: thinking, tool calls, boxes and vision marks stay as they are, and a record
    whose answer holds one of these is rejected. `images`: `<image>` places are counted elsewhere.
    """
    match = (_BREAKING_BUT_IMAGES if images else _BREAKING).search(text) if "<" in text else None
    return match.group() if match else ""


def escape_breaking(text: str) -> str:
    """A prompt that came with its record: as it is, but for what breaks the trainer besides `<image>`."""
    text = _BREAKING_BUT_IMAGES.sub(lambda match: f"＜{match.group()[1:-1]}＞", text) if "<" in text else text
    return _TURN.sub(r"｛｛\1｝｝", text) if "{{" in text else text


def escape_except_images(text: str) -> TrustedText:
    """Dialogue text whose `<image>` places are meant: they stay, everything else is escaped."""
    return TrustedText("<image>".join(escape_tokens(part) for part in text.split("<image>")))


def _another_each_time(*given: Any, **settings: Any) -> str:
    """Stands for `random` and `lipsum`, with which a text would not be the one that its key was made of."""
    raise UserError(
        "`random` and `lipsum` give another text each time, so no answer to it could be found again",
        remedy="Choose by a column of the record, or by the variable `style` of annotate.reason.",
    )


def _finalize(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, TrustedText | Slot | int | float):
        return value
    return escape_tokens(str(value))


class Templates:
    """Templates of some folders, the first that has a name wins.

    With a language, a folder's `NAME_en.j2` is taken before its `NAME.j2` (`names_in`).
    """

    def __init__(self, folders: Iterable[Path], language: Language | None = None) -> None:
        self.folders, self.language = tuple(Path(folder) for folder in folders), language
        self._variables: dict[str, tuple[Template, set[str]]] = {}
        self._kept: KeptFiles | None = None
        self._listed: list[str] = []
        """The names of all files of pinned templates, once somebody has asked for them."""

    @property
    def is_pinned(self) -> bool:
        """Whether an edit of a template that was read changes nothing."""
        return self._kept is not None

    def pinned(self) -> Templates:
        """The same templates, each file as it is when it is first read: for texts, digests and copies alike,
        and in worker processes too."""
        if self.is_pinned:
            return self
        pinned = Templates(self.folders, self.language)
        pinned._kept = {}
        return pinned

    def __getstate__(self) -> dict[str, Any]:
        same = {"folders": self.folders, "language": self.language, "_kept": self._kept}
        return {**same, "_variables": {}, "_listed": self._listed}

    @cached_property
    def _loader(self) -> TextLoader:
        return TextLoader(self.folders, self.language, self._kept)

    @cached_property
    def _environment(self) -> BoundedEnvironment:
        environment = BoundedEnvironment(
            loader=self._loader,
            undefined=StrictUndefined,
            finalize=_finalize,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
            auto_reload=not self.is_pinned,
        )
        environment.filters["random"] = environment.globals["lipsum"] = _another_each_time
        for name, function in FILTERS.items():
            environment.add_filter(name, function)
        return environment

    def get(self, name: str) -> Template:
        """The compiled template. Raises UserError for a missing file or a syntax error, with its line."""
        try:
            return self._environment.get_template(name)
        except TemplateNotFound as error:
            raise self._missing(str(error.name or name)) from None
        except TemplateSyntaxError as error:
            place = f"{error.filename or name}:{error.lineno}"
            raise UserError(f"template error: {error.message}", where=place) from None
        except (RecursionError, MemoryError, SyntaxError):
            path = self._loader.file(name)
            raise UserError(
                "template error: loops, conditions or brackets stand too deep in each other",
                remedy="Python takes 20 loops in each other. Put the inner ones into a macro.",
                where=str(path[0]) if path else name,
            ) from None
        except ValueError as error:  # such as a number of 5,000 digits
            raise UserError(f"template error: {error}", where=name) from None

    def source(self, name: str) -> str:
        """The template's text."""
        self.get(name)
        return self._loader.get_source(self._environment, name)[0]

    def digest(self, name: str, *, whole: bool = False) -> str:
        """sha256 over the template and every template that it includes, imports or extends by name.

        With `whole`, also over every file of the folders, if a variable names one that is included.
        """
        state = hashlib.sha256()
        seen: dict[str, bool] = {}
        for used in self._used(name, seen):
            state.update(used.encode() + b"\0" + self.source(used).encode() + b"\0")
        if whole and any(seen.values()):
            for other, data in self._files().items():
                state.update(other.encode() + b"\0" + data + b"\0")
        return state.hexdigest()

    def variables(self, name: str) -> set[str]:
        """Names that the template takes from outside."""
        template = self.get(name)
        cached = self._variables.get(name)
        if cached is not None and cached[0] is template:
            return set(cached[1])  # asked for with every record; parsing takes 0.5 ms
        names: set[str] = set()
        for used in self.used(name):
            names |= names_from_outside(self._environment.parse(self.source(used)))
        self._variables[name] = template, names
        return set(names)

    def optional(self, name: str) -> set[str]:
        """Those of the `variables` that need not be given: `{% if ocr_text is defined %}`."""
        needed: set[str] = set()
        for used in self.used(name):
            needed |= needed_names(self._environment.parse(self.source(used)))
        return self.variables(name) - needed

    def place(self, name: str, variable: str) -> str:
        """Where a template, or one that it includes, names a variable: "file:line"; "" when none does."""
        for used in self.used(name):
            for number, line in enumerate(self.source(used).splitlines(), 1):
                if re.search(rf"{{[{{%][^}}]*\b{re.escape(variable)}\b", line):
                    return f"{self.get(used).filename or used}:{number}"
        return ""

    def names(self) -> list[str]:
        """Every template that can be named."""
        return sorted(
            {
                path.relative_to(folder).as_posix()
                for folder in self.folders
                if folder.is_dir()
                for path in folder.rglob("*.j2")
            }
        )

    def used(self, name: str) -> list[str]:
        """The template and all that it includes by name, as far as they are there where they need not be."""
        return self._used(name, {})

    def kept(self, name: str) -> dict[str, str]:
        """Name -> text of all that is needed to render the template elsewhere.

        Where a variable names a part, that is every text of the folders.
        """
        seen: dict[str, bool] = {}
        texts = {used: self.source(used) for used in self._used(name, seen)}
        for other in self._files() if any(seen.values()) else ():
            with suppress(UserError):  # a file that is no text cannot be a part
                texts.setdefault(other, self._loader.get_source(self._environment, other)[0])
        return texts

    def _used(self, name: str, seen: dict[str, bool]) -> list[str]:
        """The templates not seen before; `seen` tells of each whether a variable names what it includes."""
        if name in seen:
            return []
        tree = self._environment.parse(self.source(name))
        free = {other for node in tree.find_all(nodes.Include) for other in self._absent(node)}
        inner = list(meta.find_referenced_templates(tree))
        seen[name] = None in inner
        parts = [other for other in inner if other is not None and other not in free]
        return [name, *(used for other in parts for used in self._used(other, seen))]

    def _absent(self, include: nodes.Include) -> list[str]:
        """The parts that are not there and need not be: by `ignore missing`, or for another of a list, be it
        one that a variable names."""
        listed = include.template
        choices = listed.items if isinstance(listed, nodes.List | nodes.Tuple) else [listed]
        names = [choice.value for choice in choices if isinstance(choice, nodes.Const)]
        absent = [name for name in names if isinstance(name, str) and not self._is_there(name)]
        return absent if include.ignore_missing or len(absent) < len(choices) else []

    def _is_there(self, name: str) -> bool:
        try:
            return self._loader.file(name) is not None
        except TemplateNotFound:  # a name that leaves the folder
            return False

    def _files(self) -> dict[str, bytes]:
        """Every file that can be included, sorted by the name that would include it."""
        listed = self._listed or sorted(
            {
                path.relative_to(folder).as_posix()
                for folder in self.folders
                for path in files_below(folder, set())
            }
        )
        if self.is_pinned:
            self._listed = listed
        files = {name: self._loader.file(name) for name in listed}
        return {name: file[1] for name, file in files.items() if file is not None}

    def _missing(self, name: str) -> UserError:
        places = ", ".join(str(folder) for folder in self.folders)
        hint = did_you_mean(name, self.names())
        return UserError(f"no template `{name}` in {places}", remedy=hint or "`.j2` is part of the name.")
