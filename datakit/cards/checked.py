"""What the check found: lengths and image tokens beside cutoff_len, and what the trainer stumbles over."""

from __future__ import annotations

from collections import Counter
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.checked import CheckFinding, CheckReport
from datakit.core.wording import later, t, told
from datakit.pages import charts
from datakit.pages.blocks import Block, Bullets, Cell, Chart, Code, Section, Table, Text

MOST_FINDINGS = 20
LENGTHS = later(
    "Tokens of a row as the trainer counts them, text and pictures together; a row "
    "of more than cutoff_len ({cutoff:,}) is cut. {fits}"
)
FITS = later("All rows fit into {fits_all:,}, and 99 of 100 into {fits_99:,}.")
NOT_COUNTED = later(" {count:,} rows could not be counted.")
CHOICES = later("What other limits of a picture's pixels would cost, this data's tokens being 1:")
UNCHECKED = later("The build was not checked. Check it: datakit check BUILD")
CLEAN = later("The check found nothing: the trainer takes every row as it is.")
FOUND = later("{errors:,} errors, {warnings:,} warnings and {notes:,} notes.")
_HEAD = {
    "rows": later("rows"),
    "kept": later("kept"),
    "cut": later("cut"),
    "dropped": later("dropped"),
    "longest": later("longest row"),
    "text_tokens": later("text tokens"),
    "image_tokens": later("image tokens"),
}


def lengths_section(build: BuildFolder) -> Section:
    """Tokens of each data set beside cutoff_len, as a table and as bars."""
    check = build.check
    if check is None or not check.data_sets:
        return Section(t("Lengths and image tokens"), [])
    cutoff, proposal = check.settings.get("cutoff_len"), check.proposal or {}
    blocks: list[Block] = []
    if isinstance(cutoff, int):
        fits = (
            t(FITS, fits_all=proposal["fits_all"], fits_99=proposal["fits_99"])
            if {"fits_all", "fits_99"} <= proposal.keys()
            else ""
        )
        fits += t(NOT_COUNTED, count=proposal["uncounted"]) if proposal.get("uncounted") else ""
        blocks.append(Text(t(LENGTHS, cutoff=cutoff, fits=fits).strip()))
    rows: list[list[Cell]] = [
        [Code(str(one.get("name", ""))), *(_number(one.get(key)) for key in _HEAD)] for one in check.data_sets
    ]
    blocks.append(Table([t("data set"), *map(t, _HEAD.values())], rows))
    if isinstance(cutoff, int):
        blocks.append(_bars(check, cutoff))
    if choices := [one for one in proposal.get("choices") or () if isinstance(one, dict)]:
        cells: list[list[Cell]] = [
            [_number(one.get(key)) for key in ("image_max_pixels", "image_tokens", "cost", "fits_all")]
            for one in choices
        ]
        head = ["image_max_pixels", t("image tokens"), t("cost"), t("tokens that the longest row takes")]
        blocks += [Text(t(CHOICES)), Table(head, cells)]
    return Section(t("Lengths and image tokens"), blocks)


def _bars(check: CheckReport, cutoff: int) -> Chart:
    names = [str(one.get("name", "")) for one in check.data_sets]
    longest = [float(_number(one.get("longest")) or 0) for one in check.data_sets]
    title = t("Longest row of each data set beside cutoff_len ({cutoff:,})", cutoff=cutoff)
    series = [(t("longest row"), longest), ("cutoff_len", [float(cutoff)] * len(names))]
    return Chart("longest-rows", title, charts.bars(title, names, series, t("tokens")))


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def check_section(build: BuildFolder) -> Section:
    """The check's findings by kind with an example each, and its advice."""
    check = build.check
    if check is None:
        return Section(t("Check"), [Text(t(UNCHECKED))] if build.data_files else [])
    blocks: list[Block] = [Text(_counted(check))]
    if check.findings:
        counts = Counter(line.code for line in check.findings)
        first: dict[str, CheckFinding] = {}
        for line in check.findings:
            first.setdefault(line.code, line)
        rows: list[list[Cell]] = [
            [
                line.severity,
                Code(line.code),
                counts[line.code],
                build.clean(line.message),
                build.clean(line.remedy),
            ]
            for line in list(first.values())[:MOST_FINDINGS]
        ]
        blocks.append(
            Table([t("severity"), t("code"), t("times"), t("the first one"), t("what to do")], rows)
        )
    advice = (check.proposal or {}).get("advice") or ()
    if advice:
        blocks.append(Bullets([told(build.clean(str(line)), parts=False) for line in advice]))
    return Section(t("Check"), blocks)


def _counted(check: CheckReport) -> str:
    if not (check.errors or check.warnings or check.notes):
        return t(CLEAN)
    return t(FOUND, errors=check.errors, warnings=check.warnings, notes=check.notes)
