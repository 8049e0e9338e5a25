"""`datakit check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.cli.build_path import BuildPath
from datakit.core.counted import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakit.artifacts.build_folder import BuildFolder
    from datakit.checking.check import Check, Report
    from datakit.checking.finding import Group
    from datakit.checking.tally import Tally
    from datakit.checking.training import Training

EPILOG = """\b
Examples:
  datakit check build/ecom_v3
  datakit check build/ecom_v3 --decode --set cutoff_len=2048
  datakit check --dataset-dir LLaMA-Factory/data --dataset mllm_demo --train-yaml sft.yaml
  datakit check build/ecom_v3 --json | jq '.findings[] | select(.severity == "error")'
"""
_EXAMPLES = 3


@click.command(epilog=EPILOG)
@click.argument("build", required=False, type=BuildPath())
@click.option(
    "--dataset-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of a dataset_info.json, for a data set that is no build.",
)
@click.option("--dataset", "names", metavar="A,B", help="Names in dataset_info.json; else train.yaml's.")
@click.option(
    "--train-yaml",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="LLaMA-Factory's configuration; that of the build if not given. One that names no data set is for "
    "those of the build.",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Try another value of a setting.")
@click.option("--gpus", type=click.IntRange(min=1), help="GPUs of the run; from the build, else 1.")
@click.option(
    "--text-only", is_flag=True, help="No row is meant to have a picture (no_pictures is no error)."
)
@click.option("--decode", is_flag=True, help="Decode every picture: finds truncated ones for sure.")
@click.option(
    "--records",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write each row's verdict and tokens to this file, as JSON Lines.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every finding as JSON on stdout.")
def command(
    build: Path | None,
    dataset_dir: Path | None,
    names: str | None,
    train_yaml: Path | None,
    changes: tuple[str, ...],
    gpus: int | None,
    text_only: bool,
    decode: bool,
    records: Path | None,
    as_json: bool,
) -> int:
    """Say what LLaMA-Factory would do with BUILD, or with any data set of its format, before anything starts.

    Rows that it would drop, stop at or cut, pictures that are missing or broken, settings that fail or never
    fire, tokens of texts and pictures, and the `cutoff_len` and `image_max_pixels` that would fit. Reads
    image headers and counts tokens; needs no GPU and no trainer. Exit code 1 when there are errors.
    """
    from datakit.checking.records_file import write_records
    from datakit.cli.tables import print_json
    from datakit.core.errors import Exit

    dataset = [name.strip() for name in names.split(",")] if names else []
    check = checked(
        build,
        dataset_dir,
        dataset,
        train_yaml,
        changes,
        gpus=gpus,
        text_only=text_only,
        decode=decode,
    )
    if records is not None:
        write_records(check.rows(), records)
    report = check.report() if records is not None else check.run()
    if as_json:
        print_json(report.plain())
    else:
        show(report)
    return int(Exit.FAILED if report.errors else Exit.FINE)


def checked(
    build: Path | None,
    dataset_dir: Path | None,
    dataset: Sequence[str],
    train_yaml: Path | None,
    changes: tuple[str, ...],
    *,
    gpus: int | None,
    text_only: bool,
    decode: bool,
) -> Check:
    """The check of a build or of a data set; nothing of it is done yet. Raises UserError for neither."""
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.checking.build_check import is_picture_task
    from datakit.checking.check import Check
    from datakit.core.errors import UserError

    if build is None and dataset_dir is None and train_yaml is None:
        raise UserError(
            "name a build, or a data set with --dataset-dir or --train-yaml",
            remedy="See: datakit check --help",
        )
    if build is not None and dataset_dir is not None:
        raise UserError(
            f"both {build} and --dataset-dir {dataset_dir} are data sets", remedy="Leave one of them out."
        )
    folder = None if build is None else BuildFolder(build)
    if folder is not None and not folder.has_data_set:
        remedy = "Build it with `emit: [llamafactory: {}]`."
        raise UserError(f"{build} holds no data set for LLaMA-Factory", remedy=remedy)
    training = _training(folder, train_yaml, changes, gpus)
    recipe = folder or _build_of(training, dataset_dir)
    picture_task = is_picture_task(recipe, training) if recipe is not None else None
    return Check(
        training,
        dataset_dir=build or dataset_dir,
        dataset=dataset or _all_names(folder, training),
        decode=decode,
        picture_task=False if text_only else picture_task,
    )


def _training(
    build: BuildFolder | None, path: Path | None, changes: tuple[str, ...], gpus: int | None
) -> Training:
    from datakit.checking.records_file import gpus_of, with_own_sets
    from datakit.checking.training import Training

    if build is None:
        return Training.load(path, changes, gpus=gpus or 1)
    file = path or build.training_file
    training = Training.load(file, changes, gpus=gpus or gpus_of(build), build=build.path)
    return training if path is None else with_own_sets(training, build)


def _build_of(training: Training, dataset_dir: Path | None) -> BuildFolder | None:
    """The build that lies where a data set was named, whose recipe then says what it is about."""
    from datakit.artifacts.build_folder import BuildFolder

    build = BuildFolder(training.data_folder(dataset_dir))
    return build if build.is_finished and build.recipe_file.is_file() else None


def _all_names(build: BuildFolder | None, training: Training) -> list[str]:
    """Of a build without a training configuration: every data set in it."""
    from datakit.checking.records_file import names_in

    return names_in(build) if build is not None and training.file is None else []


def show(report: Report) -> None:
    """Prints what a check found."""
    from datakit.cli.tables import say

    settings = report.settings
    facts = [
        f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}"
        for key in ("template", "cutoff_len", "image_max_pixels", "gpus")
        if (value := settings[key]) is not None
    ]
    say(": ".join(filter(None, (settings["train_yaml"] or settings["dataset_dir"], ", ".join(facts)))))
    _print_tallies(report.tallies)
    if report.steps is not None:
        click.echo(counted(report.steps, "training step"))
    for group in report.findings.groups():
        for line in _group(group):
            say(line)
    _print_proposal(report)
    counts = [report.findings.count(severity) for severity in ("error", "warning", "note")]
    click.echo(", ".join(map(counted, counts, ("error", "warning", "note"))))


_FAULTS = ("dropped", "stops", "crashes", "cut", "uncounted")
"""Columns that only a data set with such rows has."""


def _print_tallies(tallies: Sequence[Tally]) -> None:
    """A line a data set: its rows, what becomes of them, and their tokens."""
    from datakit.cli.tables import print_wide_table

    if not tallies:
        return
    happened = [name for name in _FAULTS if any(getattr(tally, name) for tally in tallies)]
    figures = ("rows", "kept", *happened, "text_tokens", "image_tokens", "longest")
    rows = [
        (tally.name, tally.part, *(f"{value:,}" if value else "·" for value in _values(tally, figures)))
        for tally in tallies
    ]
    head = ("data set", "part", *(name.replace("_", " ") for name in figures))
    print_wide_table(head, rows, right=range(2, len(head)))


def _values(tally: Tally, names: Sequence[str]) -> list[int]:
    return [getattr(tally, name) for name in names]


def _group(group: Group) -> Iterator[str]:
    """A kind of finding: how often, the first places, what to do."""
    count = len(group.findings)
    times = f" ({count:,} times)" if count > 1 else ""
    yield f"{group.severity.capitalize()} {group.code}: {group.title}{times}"
    for finding in group.findings[:_EXAMPLES]:
        place = " ".join(text for text in (finding.where, finding.record) if text)
        yield f"  {place}: {finding.message}" if place else f"  {finding.message}"
    if count > _EXAMPLES:
        yield f"  and {count - _EXAMPLES:,} more (--json shows all)"
    if group.remedy:
        yield f"  {group.remedy}"


def _print_proposal(report: Report) -> None:
    from datakit.cli.tables import print_table, say

    proposal = report.proposal
    if proposal is None:
        return
    if proposal.choices:
        rows = [
            (
                f"{choice.image_max_pixels:,}"
                + (" *" if choice.image_max_pixels == proposal.image_max_pixels else ""),
                f"{choice.image_tokens:,}",
                f"{choice.cost:.2f}",
                f"{choice.fits_99:,}",
                f"{choice.fits_all:,}",
            )
            for choice in proposal.choices
        ]
        head = ("image_max_pixels", "image tokens", "cost", "cutoff_len for 99%", "for all rows")
        print_table(head, rows, right=range(1, 5))
    for line in proposal.advice:
        say(line)
