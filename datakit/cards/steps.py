"""Steps of other packages on the card, and the sections that steps and packages declare for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args
from xml.etree import ElementTree

import orjson
from pydantic import ValidationError

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import StepReport
from datakit.cards.inputs import cleaned
from datakit.cards.tasks import named
from datakit.core.blocks import Block, Bullets, Cell, Chart, Code, Section, Table, Text
from datakit.core.parameters import validated
from datakit.core.plugins import CARD_SECTIONS, broken, described, load, package_of, plugins
from datakit.core.registry import find, own_names, plugin_of
from datakit.core.step_account import StepAccount
from datakit.core.task_blocks import flat_steps
from datakit.core.transform import Transform
from datakit.core.wording import t

_BLOCKS = get_args(Block)


def step_sections(build: BuildFolder) -> list[Section]:
    """A section for each step of another package, and those that steps and packages declare, in order."""
    sections: list[Section] = []
    for report in build.report.steps:
        parameters = _parameters(build, report.number)
        if report.name not in own_names():
            sections.append(_foreign(build, report, parameters))
        sections += _declared_by_step(build, report, parameters)
    return [*sections, *_declared_by_packages(build)]


def _parameters(build: BuildFolder, number: int) -> dict[str, Any]:
    """The recipe's parameters of the step at this place; the emitters follow the steps."""
    entries = [*(row for _, row in flat_steps(build.recipe)), *build.recipe.get("emit", ())]
    entry = entries[number - 1] if number <= len(entries) else None
    values = next(iter(entry.values())) if isinstance(entry, dict) else None
    return values if isinstance(values, dict) else {}


def _foreign(build: BuildFolder, report: StepReport, parameters: dict[str, Any]) -> Section:
    """What can be said of any step: where it is from, its parameters, counts and columns."""
    point = plugin_of(report.name)
    if point is None:
        origin = t(
            "A step of a package that is not installed here: what it declares for the card is missing."
        )
    else:
        origin = t(
            "A step of the package {package}.",
            package=package_of(point) or t("of an entry point without a package"),
        )
    counts = [
        t(
            "{records_in:,} records in, {added:,} added, {records_out:,} out, {rejected:,} "
            "rejected, {retry:,} to retry.",
            records_in=report.records_in,
            added=report.added,
            records_out=report.records_out,
            rejected=sum(report.rejected.values()),
            retry=report.retry,
        )
    ]
    counts += [
        t("Rejected as {reason}: {count:,}.", reason=reason, count=count)
        for reason, count in sorted(report.rejected.items())
    ]
    if report.columns:
        counts.append(t("Columns that it gave: {names}.", names=", ".join(report.columns)))
    blocks: list[Block] = [Text(origin), Bullets(counts)]
    if parameters:
        rows: list[list[Cell]] = [
            [Code(str(name)), Code(_as_text(value))] for name, value in cleaned(parameters, build).items()
        ]
        blocks.append(Table([t("parameter"), t("value")], rows))
    return Section(t("Step {number}: {name}", number=report.number, name=report.name), blocks)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _declared_by_step(
    build: BuildFolder, report: StepReport, parameters: dict[str, Any]
) -> Iterator[Section]:
    point, source = plugin_of(report.name), f"step {report.number} ({report.name})"
    if point is None and report.name not in own_names():
        return
    try:
        kind = find(report.name)
        if kind.card_sections is Transform.card_sections:
            return  # it declares none, and parameters of an older version need not fit
        sections = validated(kind, parameters).card_sections(_account(build, report))
        for section in _checked(sections, source, build):
            yield named(section, report.task) if report.task else section
    except Exception as error:  # a plug-in's: a finished build is not lost for it, and the card says so
        yield _failed(described(point) if point else source, error)


def _account(build: BuildFolder, report: StepReport) -> StepAccount:
    return StepAccount(
        number=report.number,
        records_in=report.records_in,
        records_out=report.records_out,
        added=report.added,
        retry=report.retry,
        rejected=dict(report.rejected),
        notes=dict(report.notes),
        columns=tuple(report.columns),
        records=build.main,
    )


def _declared_by_packages(build: BuildFolder) -> Iterator[Section]:
    """The sections of the entry points of `datakit.card_sections`, by their names."""
    for name, point in sorted(plugins(CARD_SECTIONS).items()):
        try:
            write = load(point)
            if not callable(write):
                raise broken(point, f"is no function of a build, but {write!r}")
            section = write(build)
            yield from _checked(() if section is None else (section,), f"card section {name}", build)
        except Exception as error:  # of another package: a finished build is not lost for it
            yield _failed(described(point), error)


def _checked(sections: Sequence[Section], source: str, build: BuildFolder) -> list[Section]:
    """The sections with whatever the card needs of them. Raises TypeError for what is no section."""
    fine = []
    for section in sections:
        if not isinstance(section, Section):
            raise TypeError(f"it gives {section!r} in place of a Section")
        wrong = [block for block in section.blocks if not isinstance(block, _BLOCKS)]
        if wrong:
            raise TypeError(f"the section {section.title!r} holds {wrong[0]!r}, which is no block")
        blocks = [_drawing(block, source) if isinstance(block, Chart) else block for block in section.blocks]
        fine.append(Section(build.clean(section.title), blocks))
    return fine


def _drawing(chart: Chart, source: str) -> Chart:
    """The chart under a file name of its own. Raises ValueError for one that holds more than a drawing."""
    for element in ElementTree.fromstring(chart.svg).iter():
        tag = str(element.tag).rpartition("}")[2].lower()
        acts = [name for name in element.attrib if name.rpartition("}")[2].lower().startswith("on")]
        if tag in ("script", "foreignobject", "iframe") or acts:
            raise ValueError(f"the chart {chart.name!r} holds more than a drawing: {tag} {' '.join(acts)}")
    name = "-".join("".join(sign if sign.isalnum() else " " for sign in f"{source} {chart.name}").split())
    return replace(chart, name=name.lower())


def _failed(source: str, error: Exception) -> Section:
    words = f"{type(error).__name__}: {error}"
    if isinstance(error, ValidationError):  # its own words show values, and one may be a secret
        places = sorted({".".join(map(str, fault["loc"])) for fault in error.errors()})
        words = t("These parameters do not fit the installed version: {names}.", names=", ".join(places))
    return Section(
        t("A section that is missing: {source}", source=source),
        [Text(t("It could not be made. {words}", words=words))],
    )
