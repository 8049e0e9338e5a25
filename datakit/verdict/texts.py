"""Whether prompts are whole and give nothing away, and whether written texts are worth training on."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import polars as pl
from jinja2 import meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured
from datakit.artifacts.originals import originals
from datakit.core.likeness import standing
from datakit.core.quotations import quotations
from datakit.core.record import OFFLINE_WRITER, TRAIN, VAL
from datakit.core.regular_files import read_regular_text
from datakit.core.shrink import rung_words
from datakit.core.template_filters import FILTERS
from datakit.pages.figures import collect, counts
from datakit.verdict.seen import SHOWN, Seen, height

_NAMING = {"id", "source_file", "source_line", "images", "sha256", "phash"}
"""Columns that tell which record it is."""
_LOOKED_AT = 2_000
"""Rows of the training file that are looked into."""
_NEARLY_ALL = 0.9
"""Share of the records with a column from which prompts are written without it."""
_SHORTEST = 4
"""Ids of fewer characters stand in a text by chance."""


def prompt_shortened(build: BuildFolder) -> Seen | None:
    """Prompts that lost something to the length limit, by column."""
    if not measured(build.columns, "shrink_rung"):
        return None
    shortened = build.main.filter(pl.col("shrink_rung") > 0)
    rungs = sorted((int(rung), number) for rung, number in counts(shortened, pl.col("shrink_rung")))
    count, total = sum(number for _, number in rungs), height(build.main)
    listed = ", ".join(f"{rung_name(build, rung)} {number:,}" for rung, number in rungs)
    words = f"{count:,} of {total:,} are not: {listed}" if count else f"all {total:,} are"
    losing = _quoting_what_was_cut(build, shortened) if count else []
    if losing:
        words += f"; {len(losing):,} of their reasons quote text that their prompt lost"
    words += _repeats(build, total)
    lost = pl.when(pl.col("id").is_in(losing)).then(True).alias("quotes_lost_text")
    shown = shortened.select(*SHOWN, "shrink_rung", lost)
    shown = shown.sort(
        "quotes_lost_text", "shrink_rung", "id", descending=[True, True, False], nulls_last=True
    )
    return Seen("Prompts are whole", count, words, shown)


def _quoting_what_was_cut(build: BuildFolder, shortened: pl.LazyFrame) -> list[str]:
    """Ids of the records whose reason quotes what stands in their OCR text and no longer in their prompt."""
    name = build.parameters("annotate.reason").get("into", "reason")
    if any(build.columns.get(column) != pl.String for column in (name, "ocr_text")):
        return []
    table = collect(shortened.select("id", name, "ocr_text").drop_nulls())
    quotes = {
        id_: [quote.text for quote in quotations(reason) if standing(quote.text, text) == 1]
        for id_, reason, text in table.iter_rows()
    }
    losing = set[str]()
    for split in (TRAIN, VAL):
        for row in build.rows(split) if any(quotes.values()) else ():
            wanted, prompt = quotes.get(str(row.get("id", "")), ()), _prompt(row)
            if any(standing(quote, prompt) < 1 for quote in wanted):
                losing.add(row["id"])
    return sorted(losing)


def rung_name(build: BuildFolder, rung: int) -> str:
    """How far a prompt of the build was shortened."""
    return rung_words(build.parameters("render.chat").get("shrink") or [], rung)


def column_lost(build: BuildFolder) -> Seen | None:
    """Columns of `shrink` that the length limit took out of nearly all prompts: the recipe promises what no
    prompt holds."""
    columns = build.parameters("render.chat").get("shrink") or ()
    if not measured(build.columns, "shrink_rung") or not columns:
        return None
    lost, shown = dict[str, str](), pl.lit(False)
    highest = collect(build.main.select(pl.col("shrink_rung").max())).item() or 0
    for place, name in enumerate(columns, 1):
        if highest < 2 * place:
            break  # nearly always at once, and no text is read
        with_text = _has_text(name, build)
        dropped = with_text & (pl.col("shrink_rung") >= 2 * place)
        total, count = height(build.main.filter(with_text)), height(build.main.filter(dropped))
        if total and count >= _NEARLY_ALL * total:
            lost[name], shown = f"{name} from {count:,} of {total:,} that have it", shown | dropped
    frame = build.main.filter(shown)
    words = f"max_chars or max_tokens took {', '.join(lost.values())}" if lost else "none gave way everywhere"
    statement = "Prompts hold the columns that their template names"
    return Seen(statement, height(frame), words, frame.select(*SHOWN, "shrink_rung"))


def _has_text(name: str, build: BuildFolder) -> pl.Expr:
    """Whether a record has anything in the column."""
    dtype = build.columns.get(name)
    if dtype == pl.String:
        return pl.col(name).fill_null("").str.strip_chars() != ""
    if isinstance(dtype, pl.List):
        return pl.col(name).list.len().fill_null(0) > 0
    return pl.lit(True) if dtype is None else pl.col(name).is_not_null()


def prompt_names_record(build: BuildFolder) -> Seen | None:
    """A prompt with an id or a path leaks the label when ids or folders are sorted by class."""
    statement = "No prompt names its record by id or path"
    by_template = _rendered(build) & _NAMING
    if by_template:
        names = ", ".join(sorted(by_template))
        total = height(build.main)
        return Seen(
            statement, total, f"the template renders {names} into every prompt", build.main.select(*SHOWN)
        )
    looked, leaking_ids = _named_in_rows(build)
    if not looked:
        return None
    words = (
        f"{len(leaking_ids):,} of {looked:,} looked at do" if leaking_ids else f"none of {looked:,} looked at"
    )
    frame = build.main.filter(pl.col("id").is_in(leaking_ids)).select(*SHOWN)
    return Seen(statement, len(leaking_ids), words, frame)


def reason_fails(build: BuildFolder) -> Seen | None:
    """Reasons that guard.reason marked and that were not mended."""
    flags = [
        name
        for name, dtype in build.columns.items()
        if name.endswith("_flags") and dtype == pl.List(pl.String)
    ]
    if not flags:
        return None
    any_flag = pl.any_horizontal(pl.col(name).list.len().fill_null(0) > 0 for name in flags)
    failing = build.main.filter(any_flag)
    kinds = pl.concat_list(pl.col(name).fill_null([]) for name in flags).explode()
    kind_counts = sorted(
        counts(failing.select(kind=kinds).drop_nulls(), pl.col("kind")), key=lambda pair: -pair[1]
    )
    count = height(failing)
    listed = ", ".join(f"{kind} {number:,}" for kind, number in kind_counts)
    words = f"{count:,} of {height(build.main):,} do not: {listed}" if count else "all do"
    texts = [name.removesuffix("_flags") for name in flags if name.removesuffix("_flags") in build.columns]
    return Seen("Written reasons pass their guard", count, words, failing.select(*SHOWN, *flags, *texts))


def offline_texts(build: BuildFolder) -> Seen | None:
    """Texts of the built-in writer are for a first look, not for training."""
    writers = [name for name, dtype in build.columns.items() if name.endswith("_by") and dtype == pl.String]
    if not writers:
        return None
    written = build.main.filter(pl.any_horizontal(pl.col(name) == OFFLINE_WRITER for name in writers))
    count, total = height(written), height(build.main)
    if not count and not any(build.has_step(step) for step in ("annotate.describe", "annotate.reason")):
        return None  # the columns name who relabelled or predicted, and nothing was written
    words = (
        f"{count:,} of {total:,} records have texts of the built-in offline writer" if count else "all are"
    )
    if undecided := _undecided(build):
        words += f"; {undecided:,} of their reasons say that no text decides"
    words += _repeats(build, total)
    return Seen("Texts are written by a model", count, words, written.select(*SHOWN, *writers))


def _repeats(build: BuildFolder, total: int) -> str:
    """How many of the records that were counted are repeats, which have prompts and texts of their own."""
    repeats = total - height(originals(build))
    return f"; {repeats:,} of the {total:,} are repeats" if repeats else ""


def _undecided(build: BuildFolder) -> int:
    """Reasons of the built-in writer without evidence, which quote nothing."""
    name = build.parameters("annotate.reason").get("into", "reason")
    if not build.has_step("annotate.reason") or any(
        build.columns.get(column) != pl.String for column in (name, f"{name}_by")
    ):
        return 0
    by_offline = build.main.filter(pl.col(f"{name}_by") == OFFLINE_WRITER)
    texts = collect(by_offline.select(name).drop_nulls())[name]
    return sum(not quotations(text) for text in texts)


def _rendered(build: BuildFolder) -> set[str]:
    """Names that the prompt's templates put into their text; a name in a condition is none."""
    folder, prompt = build.templates_folder, build.parameters("render.chat").get("prompt")
    todo = [prompt] if isinstance(prompt, str) else list(prompt or ())
    if folder is None:
        return set()
    environment, names = SandboxedEnvironment(), set[str]()
    environment.filters.update(FILTERS)
    visited = set[str]()
    while todo:
        current = todo.pop()
        path = folder / PurePosixPath(current)
        if current in visited or not path.is_file():
            continue
        visited.add(current)
        tree = environment.parse(read_regular_text(path, "utf-8-sig"))
        todo += [template for template in meta.find_referenced_templates(tree) if template is not None]
        outside = meta.find_undeclared_variables(tree)
        shown = [value for output in tree.find_all(nodes.Output) for value in output.nodes]
        kept = [assigned.node for assigned in tree.find_all(nodes.Assign)]  # `{% set k = id %}{{ k }}`
        for value in (*shown, *kept):
            # `images | length` counts pictures and names none
            if isinstance(value, nodes.Filter) and value.name in ("length", "count"):
                continue
            used = [value] if isinstance(value, nodes.Name) else list(value.find_all(nodes.Name))
            names |= {node.name for node in used if node.name in outside}
    return names


def _named_in_rows(build: BuildFolder) -> tuple[int, list[str]]:
    """Rows of training that were looked into, and the ids of those whose prompt holds their id or a path."""
    rows = [row for row, _ in zip(build.rows(TRAIN), range(_LOOKED_AT), strict=False)]
    ids = [str(row.get("id", "")) for row in rows]
    images = collect(build.main.filter(pl.col("id").is_in(ids)).select("id", "images"))
    paths = dict(images.iter_rows())
    leaking_ids = []
    for id_, row in zip(ids, rows, strict=True):
        prompt = _prompt(row)
        stems = [PurePosixPath(path.replace("\\", "/")) for path in paths.get(id_) or ()]
        words = [id_, *(stem.name for stem in stems)]
        if any(len(word) >= _SHORTEST and word in prompt for word in words):
            leaking_ids.append(id_)
    return len(rows), list(dict.fromkeys(leaking_ids))


def _prompt(row: dict[str, Any]) -> str:
    turns = row.get("messages") or ()
    return "\n".join(
        str(turn.get("content") or "") for turn in turns if turn.get("role") in ("system", "user")
    )
