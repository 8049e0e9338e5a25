"""The recipe of a new project, as text with its reasons beside the steps."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datakit.core.plain_yaml import yaml_inline
from datakit.core.record import GIVEN_SPLIT
from datakit.starting.asked import TASK_WORDS
from datakit.starting.deciding import Decided, lacking
from datakit.starting.given_split import given_split
from datakit.starting.pictures import MAX_RATIO, MIN_SIDE_PX
from datakit.starting.place import label_path
from datakit.starting.prompts import box_tasks

_PATHS = ("path", "image_root", "image_base")
_UP = 3
"""Folders up to which data is named from the recipe's folder: what is near moves with the project."""
_PROMPT_CHARS, _USUAL_CHARS = 600, 2500
_USUAL_RATE, _MOST_RATE = 0.02, 0.2
_LLAMAFACTORY = (
    "  - llamafactory: {images: link}",
    "train:",
    "  model: Qwen/Qwen2.5-VL-7B-Instruct",
    "  method: lora",
    "  preset: ecom",
    "serve: {gpu_memory_gb: 24, gpus: 2}",
)
_SWIFT = ("  - ms_swift: {images: link}  # LLaMA-Factory has no place for what stands beside these chats",)
_FIELD = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def recipe_text(decided: Decided, name: str, recipes: Path, labels: Mapping[str, int]) -> str:
    """The text of `recipes/NAME.yaml` in the folder `recipes`; `labels` are those of the label file."""
    found = decided.found
    lines = [
        f"# recipes/{name}.yaml: {TASK_WORDS[decided.task]}: {_line(found.source.words)}.",
        f"# run: datakit build recipes/{name}.yaml",
        "version: 1",
        f"name: {yaml_inline([name])[1:-1]}",
        "seed: 7",
        f"language: {decided.language}  # of the prompts: zh or en",
    ]
    if labels:
        lines.append(f"labels: ../{label_path(name)}")
    lines += [
        "steps:",
        f"  - read.{found.source.name}: {yaml_inline(_parameters(found.source.parameters, recipes))}",
        f"  - guard.image: {{min_side_px: {MIN_SIDE_PX}, max_ratio: {MAX_RATIO}}}"
        "  # broken and tiny ones are left out",
        *_steps(decided, name, labels),
        "emit:",
        *(_SWIFT if decided.task == "chats" and found.beside else _LLAMAFACTORY),
        *_run(found.reject_share + _unnamed(decided, labels)),
    ]
    return "\n".join(lines) + "\n"


def _parameters(parameters: Mapping[str, Any], recipes: Path) -> dict[str, Any]:
    """The reader's parameters with paths as the recipe names them."""
    return {
        key: _path(value, recipes) if key in _PATHS and os.path.isabs(str(value)) else value
        for key, value in parameters.items()
    }


def _path(path: str, recipes: Path) -> str:
    near = os.path.relpath(path, recipes)
    return path if near.split(os.sep).count("..") > _UP else near


def _steps(decided: Decided, name: str, labels: Mapping[str, int]) -> list[str]:
    """The steps behind the reader and the guard of pictures."""
    split = _split(decided)
    if decided.task == "classify":
        return [*_labelled(decided), "  - guard.label: {}", *split, *_classify(name, labels)]
    prompt = f"{name}/prompt.j2"
    if decided.task == "boxes":
        tasks = box_tasks(decided)
        prompts = {task: f"{name}/{task}.j2" for task in tasks}
        values = {"tasks": tasks, "prompts": prompts}
        return [*split, f"  - render.grounding: {yaml_inline(values)}"]
    if decided.task == "chats":
        return [*split, *_chats(prompt)]
    answer: dict[str, Any] = {"form": "free_text", "columns": {"answer": decided.answer}}
    if decided.task == "extract":
        answer = {"fields": [_field(column, at) for at, column in enumerate(decided.fields, 1)]}
    lines = [
        _where(_is_filled(column, decided), f"missing: {blank:,}")
        for column, blank in lacking(decided).items()
    ]
    if decided.written:
        lines.append(f"  - annotate.describe: {{template: {name}/describe.j2, into: description}}")
    return [*lines, *split, "  - render.chat:", f"      prompt: {prompt}", *_answer(answer)]


def _answer(answer: dict[str, Any]) -> list[str]:
    """The answer's form and the bound of the prompt; each field of its own on a line."""
    lines = [f"      answer: {yaml_inline(answer)}"]
    if "fields" in answer:
        lines = ["      answer:", "        fields:"]
        lines += [f"          - {yaml_inline(field)}" for field in answer["fields"]]
    return [*lines, f"      max_chars: {_USUAL_CHARS}  # longer prompts make models repeat themselves"]


def _split(decided: Decided) -> list[str]:
    """The steps that part the records: as the data says, or by chance."""
    values: dict[str, Any] = {"val": 0.1, "stratify": "label" if decided.task == "classify" else None}
    given = given_split(decided.found)
    why = "a picture is never on both sides"
    lines = []
    if given is not None:
        values |= {"given": given.column} if given.column != GIVEN_SPLIT else {}
        why = "as the data says" + ("; `val` is of the other records" if given.blank else "")
        if given.test:
            words = ", ".join(_text(word) for word in given.test)
            keep = f"coalesce({_name(given.column)}, '') NOT IN ({words})"
            lines.append(_where(keep, "the test part neither trains nor validates"))
    return [*lines, f"  - curate.split: {yaml_inline({**values, 'group': 'images'})}  # {why}"]


def _where(keep: str, why: str) -> str:
    return f"  - guard.where: {yaml_inline({'keep': keep})}  # {why}"


def _name(column: str) -> str:
    """A column as expressions name it."""
    doubled = column.replace('"', '""')
    return f'"{doubled}"'


def _text(text: str) -> str:
    """A text as expressions have it."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _is_filled(column: str, decided: Decided) -> str:
    has_texts = column in decided.found.columns and decided.found.columns[column].is_text
    return f"trim({_name(column)}) != ''" if has_texts else f"{_name(column)} IS NOT NULL"


def _labelled(decided: Decided) -> list[str]:
    """The step that leaves out records without a label, where there are any."""
    found = decided.found
    unlabelled = found.records - found.labels.total()
    return [_where("label IS NOT NULL", f"missing: {unlabelled:,}")] if unlabelled else []


def _classify(name: str, labels: Mapping[str, int]) -> list[str]:
    needed = _PROMPT_CHARS + sum(len(label) + 1 for label in labels)
    most = _USUAL_CHARS
    why = "longer prompts make models repeat themselves"
    if needed > most:
        most = math.ceil(needed * 1.2 / 500) * 500
        why = f"{len(labels):,} labels take {needed - _PROMPT_CHARS:,} characters"
    return [
        "  - render.chat:",
        f"      prompt: {name}/prompt.j2",
        "      answer: label_only",
        "      label_block: lines  # a line a label: its name, and its description once it has one",
        f"      max_chars: {most}  # {why}",
    ]


def _chats(prompt: str) -> list[str]:
    return [
        "  - render.chat:",
        f"      prompt: {prompt}",
        "      answer: {form: free_text, columns: {answer: text}}  # of records without a chat",
        "      keep_messages: true  # the chats are trained as they stand in the data",
        "      max_chars: null",
    ]


def _field(column: str, number: int) -> dict[str, Any]:
    """A field of an extraction: the column's name is what stands in front of the value."""
    name = column if _FIELD.fullmatch(column) else f"field_{number}"
    own = {} if name == column else {"column": column}
    return {"name": name, **own, "heading": " ".join(column.split()), "optional": True}


def _unnamed(decided: Decided, labels: Mapping[str, int]) -> float:
    """The share of the records whose label the label file cannot hold."""
    lost = decided.found.labels.total() - sum(labels.values()) if labels else 0
    return lost / decided.found.records


def _run(share: float) -> list[str]:
    """The bound on rejects, where the data as it is would not pass the usual one."""
    if share <= _USUAL_RATE / 2 or share > _MOST_RATE:
        return []
    rate = math.ceil(share * 1.5 * 100) / 100
    return [
        f"run: {{max_reject_rate: {max(rate, _USUAL_RATE):g}}}  # about {share:.1%} were unusable at first"
    ]


def _line(text: str) -> str:
    return " ".join(text.split())
