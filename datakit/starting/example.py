"""A new project: recipe, templates, label file and a little data, ready to be edited and built."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datakit.core.plain_yaml import Key, parse, with_values
from datakit.core.shipped import shipped_folder
from datakit.starting.place import check_free, file_name, write
from datakit.starting.readme import GITIGNORE

STARTS = {"ecom": "ecom_v3", "medical": "medical"}
"""What `datakit init --example --from` knows: folder of templates and examples -> recipe."""
PER_LABEL = 2
"""Records of each label that a project starts with: one may validate, one may train."""
_EXAMPLES = "../examples/"

README = """# {name}

A data set for fine-tuning a vision-language model, made by datakit.

    datakit doctor                         # is everything there?
    datakit plan recipes/{name}.yaml       # what a build would do and cost
    datakit build recipes/{name}.yaml      # build/{name}/ and data_cards/{name}.md
    datakit why recipes/{name}.yaml ID     # the life of one record

What to edit, in this order:

1. `data/`: the records are {data}, drawn by a program (Apache-2.0). Put yours
   in their place: one JSON object a line with the picture's path (from the file's folder) and its label,
   as in `{source}`. Other formats: `datakit transforms`.
2. `templates/{start}/labels.yaml`: the label set. The descriptions go into the prompt.
3. `templates/{start}/*.j2`: what the model is asked and what it is trained to answer.
4. `recipes/{name}.yaml`: the steps. Copy it for the next version, so that both can be compared.

Descriptions and reasons come from the built-in offline writer until OPENAI_API_KEY is set (OPENAI_BASE_URL
for another endpoint). What a model answered is kept in `.datakit/` and never paid twice.

Completion in the editor: `datakit schema -o recipe.schema.json`, then as the recipe's first line
`# yaml-language-server: $schema=../recipe.schema.json`
"""


@dataclass(frozen=True)
class Started:
    """A project that was made."""

    folder: Path
    recipe: Path
    files: tuple[Path, ...]
    records: int


def start_project(folder: Path, start: str = "ecom", *, whole: bool = False) -> Started:
    """Makes a project in `folder` out of a shipped recipe and `PER_LABEL` of its example records per label.

    With `whole` all example records come along. Nothing is written over: raises UserError naming what is in
    the way, before anything is written.
    """
    folder = folder.absolute()
    name = file_name(folder) or start
    text = (shipped_folder("recipes") / f"{STARTS[start]}.yaml").read_text(encoding="utf-8")
    texts, copies, records = _data(text, whole)
    recipe = f"recipes/{name}.yaml"
    texts[recipe] = _recipe_text(text, STARTS[start], name)
    sources = [path for path in texts if path.startswith("data/")]
    data = "the whole shipped example" if whole else f"{records} of the shipped example"
    texts["README.md"] = README.format(name=name, start=start, data=data, source=sources[0])
    texts[".gitignore"] = GITIGNORE
    for path in sorted((shipped_folder("templates") / start).iterdir()):
        copies[f"templates/{start}/{path.name}"] = path
    check_free(folder, [*texts, *copies], "datakit init --example FOLDER")
    write(folder, texts, copies)
    files = tuple(folder / path for path in sorted([*texts, *copies]))
    return Started(folder, folder / recipe, files, records)


def _recipe_text(text: str, old: str, name: str) -> str:
    """The shipped recipe under another name, reading data/ of its project."""
    text = text.replace(f"recipes/{old}.yaml", f"recipes/{name}.yaml")
    files = {key: f"../data/{path.name}" for key, path in _examples(parse(text))}
    return with_values(text, {("name",): name, **files})


def _examples(value: Any, key: Key = ()) -> Iterator[tuple[Key, Path]]:
    """Where a recipe names files of the shipped examples, and which, from the folder of examples."""
    if isinstance(value, str) and value.startswith(_EXAMPLES):
        yield key, Path(value.removeprefix(_EXAMPLES))
    elif isinstance(value, dict | list):
        for part, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _examples(inner, (*key, part))


def _data(text: str, whole: bool) -> tuple[dict[str, str], dict[str, Path], int]:
    """Texts to write and files to copy, by their place in the project; and how many records they hold."""
    examples = shipped_folder("examples")
    texts: dict[str, str] = {}
    copies: dict[str, Path] = {}
    records = 0
    labels = {row["path"]: row.get("label", "label") for row in _readers(text)}
    for name in dict.fromkeys(path for _, path in _examples(parse(text))):
        path = examples / name
        if path.suffix != ".jsonl":
            copies[f"data/{path.name}"] = path
            licence = path.with_name(f"{path.stem}.README.md")
            copies |= {f"data/{licence.name}": licence} if licence.is_file() else {}
            continue
        rows = list(_chosen(path, labels[f"../examples/{name}"], whole))
        texts[f"data/{path.name}"] = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        records += len(rows)
        for image in {image for row in rows for image in _pictures(row)}:
            copies[f"data/{image}"] = path.parent / image
    return texts, copies, records


def _readers(text: str) -> Iterator[dict[str, Any]]:
    for row in parse(text)["steps"]:
        ((name, parameters),) = row.items()
        if name.startswith("read."):
            yield parameters


def _chosen(path: Path, label: str, whole: bool) -> Iterator[dict[str, Any]]:
    """The records of an example file, or the first few of each label."""
    counts: Counter[str] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        counts[row[label]] += 1
        if whole or counts[row[label]] <= PER_LABEL:
            yield row


def _pictures(row: dict[str, Any]) -> list[str]:
    value = row.get("image") or row.get("images") or []
    return [value] if isinstance(value, str) else list(value)
