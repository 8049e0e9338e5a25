"""Checks that the card makes itself: nothing of validation stands in training, labels fit the label file."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.record import TRAIN, VAL
from datakit.pages.figures import collect


@dataclass(frozen=True)
class Check:
    """What was checked and what came out."""

    what: str
    passed: bool
    found: str


def checks(build: BuildFolder, classes: pl.DataFrame) -> list[Check]:
    """Every check that this build allows."""
    found = [_conservation(build)]
    if collect(build.main.select((pl.col("part") == VAL).any())).item():
        found += [check for check in (_pictures(build), _texts(build)) if check is not None]
    if build.labels is not None and not classes.is_empty():
        found.append(_strangers(build, classes))
    return found


def _conservation(build: BuildFolder) -> Check:
    wrong = [f"{step.number} ({step.name})" for step in build.report.steps if not step.balanced]
    what = "Every record is accounted for in every step"
    return Check(what, not wrong, f"not in step {', '.join(wrong)}" if wrong else "yes")


def _pictures(build: BuildFolder) -> Check | None:
    """Compares by what the trainer reads when the build's own picture files allow it, else by the records."""
    if any(facts.pictures for facts in build.data_files.values()):
        how = "by content, from the emitted files"
        sides = {part: _emitted_pictures(build, part) for part in (TRAIN, VAL)}
    elif "sha256" in build.columns:
        how = "by content (sha256)"
        sides = {part: _column(build, part, pl.col("sha256")) for part in (TRAIN, VAL)}
    else:
        how = "by file path alone"
        sides = {part: _column(build, part, pl.col("images").explode()) for part in (TRAIN, VAL)}
    sides = {
        part: keys.drop_nulls().select(pl.col("key").hash()) for part, keys in sides.items()
    }  # 8 bytes each
    val = sides[VAL].unique()
    total = int(collect(val.select(pl.len())).item())
    if not total:
        return None
    shared = int(collect(val.join(sides[TRAIN], on="key", how="semi").select(pl.len())).item())
    what = f"No validation picture stands in training ({how})"
    return Check(
        what,
        not shared,
        f"{shared:,} of {total:,} validation pictures do" if shared else f"none of {total:,}",
    )


def _column(build: BuildFolder, part: str, key: pl.Expr) -> pl.LazyFrame:
    return build.main.filter(pl.col("part") == part).select(key=key)


def _emitted_pictures(build: BuildFolder, part: str) -> pl.LazyFrame:
    """Names of the part's pictures, which the emitter makes of their content, read as a stream."""
    scans = [
        pl.scan_csv(
            build.path / facts.file,
            has_header=False,
            separator="\x01",
            quote_char=None,
            new_columns=["line"],
            schema={"line": pl.String},
        ).select(key=pl.col("line").str.extract(r'"images":\[([^\]]*)\]\},?$').str.split(",").explode())
        for facts in build.data_files.values()
        if facts.part == part and facts.pictures
    ]
    return pl.concat(scans) if scans else pl.LazyFrame(schema={"key": pl.String})


def _texts(build: BuildFolder) -> Check | None:
    """Records without pictures are their text: the same text must not stand on both sides."""
    if "text" not in build.columns:
        return None
    plain = build.main.filter(pl.col("images").list.len() == 0).drop_nulls("text")
    key = pl.col("text").hash()
    val = plain.filter(pl.col("part") == VAL).select(key=key).unique()
    total = int(collect(val.select(pl.len())).item())
    if not total:
        return None
    train = plain.filter(pl.col("part") == TRAIN).select(key=key)
    shared = int(collect(val.join(train, on="key", how="semi").select(pl.len())).item())
    return Check(
        "No text-only validation record stands in training",
        not shared,
        f"{shared:,} of {total:,} texts do" if shared else f"none of {total:,}",
    )


def _strangers(build: BuildFolder, classes: pl.DataFrame) -> Check:
    assert build.labels is not None  # asked before
    names = set(build.labels.names)
    strange = [name for name in classes["label"].to_list() if name not in names]
    shown = ", ".join(strange[:5]) + (" …" if len(strange) > 5 else "")
    return Check("Every label stands in the label file", not strange, shown if strange else "yes")
