"""The gallery of a card: of each class some records, as pictures that open and as they are trained."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.originals import is_original
from datakit.cards.settings import CardSettings
from datakit.cards.sheet import sheet
from datakit.cards.tiles import Tiles
from datakit.core.parameters import validated
from datakit.core.record import GENERAL, VAL
from datakit.core.wording import later, t
from datakit.pages.blocks import Gallery, Section
from datakit.pages.figures import collect

MOST_TILES = 400
WITHOUT_CLASS = 6
"""Records without a class for one of a class: nothing else tells how they differ."""

_WORDS = later(
    "A click opens a record: its picture at the size that the model sees, with a "
    "frame around each line that was read (hovering shows the words) and a bold one "
    "around what the answer quotes; below it prompt and answer, exactly as they are "
    "trained."
)
_LEFT_OUT = later(" The first {shown:,} of {all:,} chosen records are shown.")


def card_settings(build: BuildFolder) -> CardSettings:
    """The recipe's `card:` section; what older or newer versions wrote there and does not fit is ignored."""
    try:
        return validated(CardSettings, build.section("card"))
    except ValueError:
        return CardSettings()


def gallery_section(tiles: Tiles, ids: Sequence[str]) -> Section:
    """Records of each class, the class with the most records first; nothing where the trainer gets none."""
    shown = ids[:MOST_TILES]
    if not shown or not tiles.build.data_files:
        return Section(t("Gallery"), [])
    groups = [[tiles.tile(id_)] for id_ in shown]
    words = t(_WORDS) + (t(_LEFT_OUT, shown=len(shown), all=len(ids)) if len(shown) < len(ids) else "")
    drawn = sheet(
        "gallery",
        t("One picture of each class"),
        [(tile, tiles.first_picture(tile.id)) for (tile,) in groups],
    )
    block = Gallery("", groups, words, tiles.constant.folded, drawn, has_filter=True)
    return Section(t("Gallery"), [block])


def chosen(build: BuildFolder, each: int) -> list[str]:
    """Ids of `each` records of every class; where more than one is wanted, one of them of validation.

    They are taken by a hash of their ids: the same for any order of the records, whatever other classes
    hold. Training goes first, general data is a class of its own, and a record with several pictures is
    added where there are such and none is among them. Of records without a class there are six times as many.
    """
    if each < 1:
        return []
    several = pl.col("images").list.len().fill_null(0) > 1
    table = collect(build.records.filter(is_original(build)).select("id", "part", "label", several=several))
    hashes = pl.Series("hash", [blake2b(id_.encode(), digest_size=8).digest() for id_ in table["id"]])
    is_general, is_test = pl.col("part") == GENERAL, pl.col("part") == VAL
    group = pl.when(is_general).then(None).otherwise(pl.col("label").fill_null(""))
    table = table.with_columns(hashes, group=group, is_test=is_test).sort("is_test", "hash", "id")
    is_first = pl.int_range(pl.len()).over("group", "is_test") == 0
    is_early = pl.col("is_test") & is_first & pl.lit(each > 1)
    table = table.with_columns(records=pl.len().over("group"), late=~is_early)
    table = table.sort("late", "is_test", "hash", "id")
    room = pl.when(pl.col("group") == "").then(each * WITHOUT_CLASS).otherwise(each)
    taken = table.filter(pl.int_range(pl.len()).over("group") < room)
    order = [pl.col("group").is_null(), -pl.col("records").cast(pl.Int64), "group", "is_test", "hash"]
    ids: list[str] = taken.sort(order)["id"].to_list()
    if not taken["several"].any():
        ids += table.filter("several")["id"].head(1).to_list()
    return ids
