"""The pages of docs/reference/, made of the code: name of the page -> its Markdown."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import python_page
from pydantic import BaseModel
from reference_text import FLOW, documented_constants, page, table, with_code

from datakit.artifacts import names as build_files
from datakit.cards.settings import CardSettings
from datakit.checking.codes import CODES
from datakit.cli import COMMANDS, cli
from datakit.core.errors import Exit
from datakit.core.reasons import REJECTED, RETRIED
from datakit.core.settings import EndpointSettings, LlmSettings, RunSettings
from datakit.doctor import EXTRAS
from datakit.handoff.stages import StageRecord
from datakit.handoff.status import Status
from datakit.recipe.recipe import TOP
from datakit.recipe.reference import Entry, Parameter, entries, parameters_of
from datakit.serving.settings import ServeSettings
from datakit.training.config import TrainSettings

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def pages() -> dict[str, str]:
    """Every page of the reference."""
    makers: dict[str, Callable[[], str]] = {
        "transforms.md": transforms,
        "recipe.md": recipe,
        "commands.md": commands,
        "build-folder.md": build_folder,
        "run-folder.md": run_folder,
        "exit-codes.md": exit_codes,
        "reasons.md": reasons,
        "checks.md": checks,
        "python.md": python_page.python,
        "extras.md": extras,
    }
    return {name: page() for name, page in makers.items()}


def parameter_table(parameters: Iterable[Parameter]) -> str:
    """Names, types, defaults and meaning; empty where there are none."""
    rows = [
        (
            f"`{parameter.name}`",
            parameter.type,
            "required" if parameter.required else f"`{parameter.default_text}`",
            with_code(parameter.help),
        )
        for parameter in parameters
    ]
    return table(("parameter", "type", "default", "meaning"), rows) if rows else "It takes no parameters."


# transforms


def transforms() -> str:
    """One table of all, then each with its parameters, columns and an example."""
    listed = entries()
    rows = [
        (f"[`{entry.name}`](#{anchor(entry.name)})", entry.kind, with_code(entry.summary)) for entry in listed
    ]
    sections = [block for folder in FLOW for block in _folder(folder, listed)]
    intro = (
        "A step of a recipe is a transform with its parameters. `datakit transforms NAME` says the same in "
        "the terminal, for transforms of other packages too."
    )
    return page("Transforms", intro, table(("transform", "kind", "what comes out"), rows), *sections)


def anchor(name: str) -> str:
    """The fragment of a heading."""
    return name.replace(".", "").lower()


def _folder(folder: str, listed: list[Entry]) -> list[str]:
    own = [entry for entry in listed if entry.name.startswith(f"{folder}.")]
    return [f"## {folder}", *(block for entry in own for block in _transform(entry))]


def _transform(item: Entry) -> list[str]:
    columns = []
    if item.inputs:
        columns.append(f"Reads {', '.join(f'`{name}`' for name in item.inputs)}.")
    if item.outputs:
        columns.append(f"Gives {', '.join(f'`{name}`' for name in item.outputs)}.")
    return [
        f"### {item.name} {{ #{anchor(item.name)} }}",
        with_code(item.text),
        " ".join(columns),
        f"```yaml\n{item.example}\n```",
        parameter_table(item.parameters),
    ]


# recipe


def recipe() -> str:
    """All keys of a recipe, section by section."""
    blocks = [
        "The keys at the top of a recipe. `datakit schema -o recipe.schema.json` writes them, and every "
        "step's parameters, as a JSON schema for editors.",
        table(("key", "meaning"), [(f"`{key}`", RECIPE_KEYS[key]) for key in TOP]),
    ]
    for name, model in SECTIONS.items():
        text = " ".join(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].split())
        blocks += [f"## `{name}:`", text, parameter_table(parameters_of(model.model_json_schema()))]
    return page("Recipe", *blocks)


SECTIONS: dict[str, type[BaseModel]] = {
    "llm": LlmSettings,
    "llm.endpoints": EndpointSettings,
    "train": TrainSettings,
    "serve": ServeSettings,
    "card": CardSettings,
    "run": RunSettings,
}
RECIPE_KEYS = {
    "version": "Version of the recipe format: 1.",
    "name": "Name of the build and its files; the recipe's file name when not given.",
    "seed": "Seed of everything drawn by chance; 7 when not given.",
    "language": "Language of the shipped prompts: `zh` (also when not given) or `en`. With it, a template "
    "`NAME.j2` is taken from `NAME_zh.j2` or `NAME_en.j2` where the folder has one.",
    "labels": "The label file, from the recipe's folder; see [its fields](../how-to/labels-and-prompts.md).",
    "llm": "The model that writes texts; see below.",
    "steps": "The steps in order, each `name: {parameters}`; see [Transforms](transforms.md).",
    "emit": "The emitters, without `emit.` before their name.",
    "train": "How LLaMA-Factory trains; without it no train.yaml is written.",
    "serve": "How vLLM serves; without it no serve.sh is written.",
    "card": "What the data card shows; nothing here changes the data.",
    "run": "How the work is done; nothing here changes what comes out.",
}


# commands


def commands() -> str:
    """Every command with its own help."""
    context = click.Context(cli, info_name="datakit")
    blocks = [
        table(("command", "what it does"), [(f"[`datakit {n}`](#{n})", t) for n, t in COMMANDS.items()])
    ]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        blocks += [f"## {name}", _help(command, f"datakit {name}")]
        if isinstance(command, click.Group):
            blocks += [_help(inner, f"datakit {name} {word}") for word, inner in command.commands.items()]
    return page("Commands", *blocks)


def _help(command: click.Command, name: str) -> str:
    context = click.Context(
        command, info_name=name, help_option_names=["-h", "--help"], max_content_width=90, terminal_width=90
    )
    return f"```text\n{command.get_help(context)}\n```"


# build folder


def build_folder() -> str:
    """The files of a build."""
    files = [(f"`{value}`", with_code(text)) for value, text in _constants().items()]
    emitted = [
        (f"`{entry.name}`", with_code(entry.summary)) for entry in entries() if entry.kind == "emitter"
    ]
    return page(
        "Build folder",
        "A build is complete or absent: it is made beside its place and moved there when its manifest is "
        "written. `--out` replaces a build or an empty folder, never anything else; what somebody put into a "
        "build or edited there is moved to `build/<name>.kept/` and said. Rejects of a failed build stand in "
        "`build/.<name>.failed/`, trainings in `build/<name>-runs/`.",
        table(("file", "what it holds"), files),
        "## Data files",
        "What each emitter writes:",
        table(("emitter", "files"), emitted),
    )


RUN_FILES = {
    "trained/": "What the trainer writes: adapter or model, checkpoints, its own log. A training that is "
    "redone sets it aside as `trained.kept-<UTC time>`; nothing deletes it.",
    "served/": "The model that is served: merged, with its processor, looked at.",
    "predictions_<source>_<run>.jsonl": "The answers; earlier ones with other content lie beside them.",
    "evaluation-<source>_<run>.json": "The scores; `.md`, `.html`: the page, `.parquet`: each outcome.",
    "stages/<stage>.json": "What a stage took in and gave, by content; see below.",
    "status.json": "How the handoff stands; see below. `datakit handoff BUILD --status` shows it.",
    "logs/": "What was said (`handoff-…`), the trainer's whole log (`train-…`), vLLM's (`serve-…`).",
    "trainer.json": "The training that was started last, by which a later command finds it alive.",
    ".sources/": "Where each folder or file that was asked lies; another of its name has a digest.",
    ".digests.json": "Checksums of weights with the state of their files, so that they are read once.",
    ".lock-<rank>": "Held by the trainer while it lives; `.driver-<rank>` by the command.",
}


def run_folder() -> str:
    """The files of a run."""
    files = [(f"`{name}`", text) for name, text in RUN_FILES.items()]
    fields = [
        table(
            ("field", "meaning"),
            [(f"`{name}`", with_code(text)) for name, text in documented_constants(model).items() if text],
        )
        for model in (StageRecord, Status)
    ]
    return page(
        "Run folder",
        "`datakit train`, `export` and `handoff` work in `<build>-runs/<method>-<mark>/` beside the build; "
        "the mark is of data and settings, so that another training has a folder of its own. Answers of a "
        "server elsewhere are in a folder of that server.",
        table(("file", "what it holds"), files),
        "## Records of stages",
        "A stage is passed over while the digests of its inputs and outputs are those of its record: SHA-256 "
        "of the content, not dates or places. An empty digest stands for what cannot be read from here, such "
        "as the weights of a server elsewhere: then the stage runs each time.",
        fields[0],
        "## Status",
        fields[1],
    )


def _constants() -> dict[str, str]:
    """File name -> docstring, in the order of datakit/artifacts/names.py."""
    return {str(getattr(build_files, name)): text for name, text in documented_constants(build_files).items()}


# exit codes, reasons, checks


def exit_codes() -> str:
    """Every exit code with its meaning."""
    texts = documented_constants(Exit)
    rows = [(f"`{int(code)}`", f"`{code.name}`", texts[code.name]) for code in Exit]
    return page(
        "Exit codes",
        "Of every command. In Python the same stand in `DatakitError.exit_code`.",
        table(("code", "name", "meaning"), rows),
        "From 3 on the same command goes on where it stopped: what was finished is stored.",
    )


def reasons() -> str:
    """Why records are dropped or left to the next run."""
    intro = (
        "Every record that does not come out of a step stands in `rejects.jsonl` with its file, its line, "
        "one of these words and a sentence. Transforms of other packages add words of their own."
    )
    head = ("reason", "what is wrong, and what helps")
    return page(
        "Reasons of rejection",
        intro,
        "## Rejected",
        "The record can never pass the step as it is. That is stored: nothing is paid for it again.",
        table(head, [(f"`{word}`", text) for word, text in sorted(REJECTED.items())]),
        "## Left to retry",
        "The step failed this time. Nothing is stored, and the next run tries again. In `rejects.jsonl` "
        "their `state` is `retry`.",
        table(head, [(f"`{word}`", text) for word, text in sorted(RETRIED.items())]),
    )


def checks() -> str:
    """What `datakit check` finds."""
    rows = [(f"`{name}`", code.severity, code.title, code.remedy) for name, code in CODES.items()]
    return page(
        "Findings of the check",
        "What `datakit check` says of a data set: errors end with exit code 1 and keep a build from its "
        "place.",
        table(("finding", "severity", "what it means", "what to do"), rows),
    )


def extras() -> str:
    """What each extra is for and brings."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    rows = [
        (f"`{name}`", with_code(EXTRAS[name]), ", ".join(f"`{line}`" for line in lines))
        for name, lines in project["optional-dependencies"].items()
    ]
    return page(
        "Extras",
        'What an installation may bring besides: `pip install "datakit[ocr,hub]"`. A step whose packages are '
        "missing says which extra it needs before anything runs; `datakit doctor` lists them.",
        table(("extra", "for", "packages"), rows),
        "`train` and `serve` are for GPU machines. LLaMA-Factory and vLLM are never imported: they may live "
        "in environments of their own, or on a machine without datakit (`datakit bundle`).",
    )
