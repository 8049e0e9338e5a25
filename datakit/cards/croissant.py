"""The card's Croissant document: what the data files are, for programs."""

from __future__ import annotations

import time

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.cards.overview import licences
from datakit.core import croissant
from datakit.core.record import COLUMNS, VAL
from datakit.core.visible import visible

_COLUMNS = {"id": pl.String, "messages": COLUMNS["messages"], "images": COLUMNS["images"]}
"""Of a row of emit.llamafactory."""


def croissant_of(build: BuildFolder, description: str) -> str:
    """The document of the trainer's files, by the names that the card's head has; "" where there are none."""
    stamps = build.manifest.artifacts
    files = []
    for facts in build.data_files.values():
        stamp = stamps.get(facts.file)
        if stamp is None or not stamp.sha256:
            return ""  # of a version that did not say what its files hold
        split = "validation" if facts.part == VAL else facts.part
        files.append(croissant.File(facts.file, split, stamp.sha256, stamp.bytes, _COLUMNS))
    if not files:
        return ""
    stated = sorted({value for _, _, value in licences(build)})
    made = time.strftime("%Y-%m-%d", time.gmtime(build.made_at))
    facts_of_it = {
        "citeAs": f"{build.report.name}, sha256 of its content {build.manifest.content}",
        "datePublished": made,
        "version": f"1.0.0+{build.manifest.content[:12]}",
    }
    licence = ", ".join(stated) or "unknown"
    return croissant.croissant(build.report.name, visible(description), visible(licence), files, facts_of_it)
