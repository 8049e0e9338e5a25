"""What the pictures of a build show: where they lie, and the beginning of what OCR read on them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.status_bar import without_status_bar

MOST_CHARS = 90


def text_column(build: BuildFolder) -> str | None:
    """The column with what OCR read; None in a build whose pictures were not read."""
    into = build.parameters("annotate.ocr").get("into", "ocr")
    names = dict.fromkeys((f"{into}_text", "ocr_text"))
    return next((name for name in names if build.columns.get(name) == pl.String()), None)


def pictures_of(build: BuildFolder, ids: Sequence[str]) -> dict[str, list[str]]:
    """Id -> the build's own copies of its pictures, relative to it; the originals where it has none."""
    frame = build.main.filter(pl.col("id").is_in(list(set(ids)))).select("id", "images").collect()
    originals = {id_: [build.place(path) for path in paths or ()] for id_, paths in frame.iter_rows()}
    return originals | build.images_of(ids)


def beginnings_of(build: BuildFolder, ids: Sequence[str]) -> dict[str, str]:
    """Id -> the first lines that OCR read on its pictures, where there are any."""
    column = text_column(build)
    if column is None:
        return {}
    frame = build.main.filter(pl.col("id").is_in(list(set(ids)))).select("id", column).collect()
    return {id_: beginning(text) for id_, text in frame.iter_rows() if text}


def beginning(text: str) -> str:
    """The first lines of a text that say something, on one line, without the phone's status bar."""
    lines = (" ".join(line.split()) for line in without_status_bar(text).splitlines())
    joined = " / ".join(line for line in lines if sum(map(str.isalnum, line)) > 1)
    return joined if len(joined) <= MOST_CHARS else f"{joined[:MOST_CHARS].rstrip(' /')}…"
