"""The README of a new project: what was found, what to edit, what to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datakit.starting.asked import TASK_WORDS
from datakit.starting.deciding import Decided

LOOK = 20
"""Records of the first build."""
GITIGNORE = "build/\n.datakit/\nrecipe.schema.json\n"

_HEAD = """\
# {name}

A data set for fine-tuning a vision-language model to {task}. Made by `datakit init` of {source}.
The data stays where it is, and nothing is written into it.

Found: {found}.
{doubts}
## Go on

Run these in this folder:

```bash
datakit build --limit {look}             # a first look at {look} records: build/{name}.limit{look}/
datakit verdict build/{name}.limit{look}   # what is worse about it than it looks
datakit plan                           # what a build of everything would do and cost
datakit build                          # the data set: build/{name}/, its card: data_cards/{name}.html
datakit check build/{name}             # what the trainer would do with every row
```

`datakit why build/{name} ID` tells the life of one record. On a machine with a GPU:
`datakit handoff build/{name}` trains, serves and scores.

## What to edit, in this order

"""
_LABELS = """\
1. `templates/{name}/labels.yaml`: write a description of each label; the counts, and labels of like names,
   stand beside it. Descriptions go into the prompt, which has a line for each label.
"""
_PROMPT = "`templates/{name}/{file}`: {what}.\n"
_RECIPE = """\
`recipes/{name}.yaml`: the steps. `datakit transforms` lists them all. Copy the file for the next
   version, so that both can be compared. Completion in the editor: `datakit schema -o recipe.schema.json`,
   then as the recipe's first line `# yaml-language-server: $schema=../recipe.schema.json`
"""
_WRITTEN = """
A model writes the captions (`annotate.describe`): the built-in offline writer until OPENAI_API_KEY is set
(OPENAI_BASE_URL for another endpoint). `datakit plan` says what that costs before anything is paid, and
what a model answered is kept in `.datakit/` and never paid twice. Texts of the offline writer are for a
first look, not for training.
"""
_ANOTHER = """
If the data was taken for something else than it is, remove this folder and say it: `datakit init` has
`--task` ({tasks}), `--language`, `--format`,
`--image-column`, `--label-column` and `--image-root`.
"""


def readme(decided: Decided, name: str, found: str, files: Sequence[str], labels: Mapping[str, int]) -> str:
    """The text of README.md; `files` are the templates."""
    doubts = "".join(f"- {_line(doubt)}\n" for doubt in decided.doubts)
    parts = [
        _HEAD.format(
            name=name,
            task=TASK_WORDS[decided.task],
            source=f"`{decided.found.source.parameters['path']}`",
            found=found,
            look=LOOK,
            doubts=f"\nNot sure, or worth knowing:\n\n{doubts}" if doubts else "",
        )
    ]
    steps = [_PROMPT.format(name=name, file=file, what=_about(file)) for file in files]
    steps.append(_RECIPE.format(name=name))
    if labels:
        parts.append(_LABELS.format(name=name))
    parts += [f"{number}. {step}" for number, step in enumerate(steps, 2 if labels else 1)]
    if decided.written:
        parts.append(_WRITTEN)
    parts.append(_ANOTHER.format(tasks=", ".join(TASK_WORDS)))
    return "".join(parts)


def _about(file: str) -> str:
    if file == "describe.j2":
        return "what a model is asked that writes the captions"
    return "what the model is asked"


def _line(text: str) -> str:
    return " ".join(text.split())
