"""`datakit why`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakit.cli import completing
from datakit.cli.build_path import no_build
from datakit.cli.recipe_path import set_option

if TYPE_CHECKING:
    from datakit.recipe.recipe import Recipe
    from datakit.run.why import Answer, StepStory, Story

EPILOG = """\b
Examples:
  datakit why recipes/ecom_v3.yaml screen-0001
  datakit why build/ecom_v3 screen-0001 --full
  datakit why recipes/ecom_v3.yaml screen-0001 --json | jq '.steps[] | select(.state != "passed")'
"""
SHORT = 100


@click.command(epilog=EPILOG)
@click.argument("recipe_or_build", type=click.Path(path_type=Path), shell_complete=completing.places)
@click.argument("id_", metavar="ID", shell_complete=completing.ids)
@set_option
@click.option("--full", is_flag=True, help="Show values whole.")
@click.option("--no-replay", is_flag=True, help="Tell only what the build recorded: quick for large builds.")
@click.option("--json", "as_json", is_flag=True, help="Print the story as JSON on stdout.")
def command(
    recipe_or_build: Path, id_: str, overrides: tuple[str, ...], full: bool, no_replay: bool, as_json: bool
) -> int:
    """Tell the life of the record ID: what each step changed, which stored answer it used, where it went.

    The recipe's steps are gone through again with the stored results; nothing is paid. For a build folder
    its recipe is looked up; where that is gone, or with --no-replay, the build's own notes are told.
    """
    from datakit.cli.tables import print_json

    story = story_of(recipe_or_build, id_, overrides, replay=not no_replay)
    if as_json:
        print_json(story.model_dump(mode="json"))
    else:
        show(story, None if full else SHORT)
    return 0


def story_of(place: Path, id_: str, overrides: tuple[str, ...] = (), *, replay: bool = True) -> Story:
    """The life of a record of a recipe or a build."""
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.core.settings import RunSettings
    from datakit.run.store_place import StorePlace
    from datakit.run.why import why

    recipe, folder = _resolve(place, overrides)
    project = recipe.project if recipe else folder.parent.parent
    store = StorePlace.of(recipe.run if recipe else RunSettings(), project)
    return why(BuildFolder(folder), id_, recipe=recipe, store=store, replay=replay)


def _resolve(place: Path, overrides: tuple[str, ...]) -> tuple[Recipe | None, Path]:
    """The recipe, if there is one, and the build folder."""
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.library import load
    from datakit.opened_build import recipe_of

    if not place.exists() and place.suffix not in (".yaml", ".yml"):
        raise no_build(place)
    if not place.is_dir():
        recipe = load(place, overrides)
        return recipe, recipe.build_folder
    folder = place.absolute()
    return recipe_of(BuildFolder(folder), overrides), folder


def show(story: Story, width: int | None) -> None:
    """Prints a record's life, texts cut to `width` signs."""
    from datakit.core.record import place_of
    from datakit.core.shown_path import show_path

    source = place_of(story.source_file, story.source_line) if story.source_file else ""
    _tell(f"{story.id}  from {source or 'an unknown source'}", width)
    if story.source_text:
        _tell(f"  {_cut(story.source_text, width)}", width)
    click.echo()
    for step in story.steps:
        _print_step(step, width)
    if not story.replayed and story.record:
        click.echo("\nColumns at the end:")
        for name, value in story.record.items():
            _tell(f"  {name}: {_value(value, width)}", width)
    click.echo("\nIn the build:" if story.places else "\nIn no file of the build." if story.build else "")
    for place in story.places:
        click.echo(f"  {show_path(Path(story.build) / place.file)}:{place.line}")
        for message in place.row.get("messages") or []:
            _tell(f"    {message.get('role')}: {_cut(str(message.get('content')), width)}", width)
    for note in story.notes:
        _tell(f"Note: {note}", width)


def _print_step(step: StepStory, width: int | None) -> None:
    endings = {"passed": "", "open": ": no result yet, a build would ask for it"}
    click.echo(f"{step.number:>2} {step.name}" + endings.get(step.state, f": {step.state}, {step.reason}"))
    if step.detail:
        _tell(f"     {step.detail}", width)
    for change in step.changes:
        before = "" if change.before is None else f"{_value(change.before, width)} -> "
        _tell(f"     {change.column}: {before}{_value(change.after, width)}", width)
    if step.figures:
        figures = ", ".join(f"{name} {_value(value, width)}" for name, value in step.figures.items())
        _tell(f"     {figures}", width)
    if step.note:
        _tell(f"     {step.note}", width)
    if step.answer is not None:
        _tell(f"     {_answer(step.answer)}", width)


def _tell(text: str, width: int | None) -> None:
    """A line, wrapped on a terminal; whole texts stay as they are, to be copied."""
    from datakit.cli.tables import say

    say(text) if width is not None else click.echo(text)


def _answer(answer: Answer) -> str:
    import time

    if not answer.stored:
        return f"stored under {answer.key}, but no longer in the result store"
    meta = dict(answer.meta)
    texts = [str(meta.pop("model"))] if meta.get("model") else []
    tokens = int(meta.pop("tokens_in", 0) or 0) + int(meta.pop("tokens_out", 0) or 0)
    cost, seconds = float(meta.pop("cost_usd", 0) or 0), float(meta.pop("seconds", 0) or 0)
    texts += [f"{tokens:,} tokens"] if tokens else []
    texts += [f"${cost:.5f}"] if cost else []
    texts += [f"{seconds:.2f} s"] if seconds else []
    texts += [f"{name} {value}" for name, value in meta.items() if isinstance(value, str | int | float)]
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(answer.created))
    return f"answer of {when} ({', '.join(texts) or 'no figures'}), key {answer.key}"


def _value(value: Any, width: int | None) -> str:
    import json

    from datakit.core.remote_pictures import by_url

    if isinstance(value, list):
        value = [by_url(item) if isinstance(item, str) else item for item in value]
    is_said = isinstance(value, str) and value.strip()  # an empty text would be an empty line
    text = value if is_said else json.dumps(value, ensure_ascii=False, default=str)
    return _cut(text, width)


def _cut(text: str, width: int | None) -> str:
    line = text if width is None else " ".join(text.split())
    return line if width is None or len(line) <= width else f"{line[:width]}... ({len(text):,} characters)"
