"""curate.duplicates: planted copies are found, groups keep together, contradicting labels come to light."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.annotate.image_facts import ImageFacts
from datakit.core.errors import RecipeErrors
from datakit.core.groups import components
from datakit.core.image import load_rgb
from datakit.core.image_pass import image_facts
from datakit.core.near_hashes import _Search, near_groups
from datakit.core.outcome import Done
from datakit.core.record import MESSAGES
from datakit.core.step_context import StepContext
from datakit.curate.duplicates import Duplicates
from datakit.curate.split import Split

TOOLS = StepContext(base=Path(), project=Path(), seed=7)
SCREENS = Path(__file__).resolve().parents[2] / "examples" / "ecom" / "images"
LOOK = dict.fromkeys(("pixels", "phash", "colours"), pl.String) | {"detail": pl.Float64, "flat": pl.Float64}
SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("id", "label", "text", "sha256", "phash"), pl.String),
    "images": pl.List(pl.String),
    "looks": pl.List(pl.Struct(LOOK)),
    "messages": MESSAGES,
}
GREY = "80" * 192


def phash(number: int) -> str:
    """A hash far away from those of other numbers."""
    return np.random.default_rng(number).bytes(32).hex()


def flipped(hash_: str, *bits: int) -> str:
    return f"{int(hash_, 16) ^ sum(1 << bit for bit in bits):064x}"


def record(id_: str, **columns: Any) -> dict[str, Any]:
    """A record with one picture for each 64 digits of `phash`; `colours` and `detail` are those of each."""
    number = sum(id_.encode())
    looks = {"colours": columns.pop("colours", GREY), "detail": columns.pop("detail", 0.5)}
    looks["flat"] = columns.pop("flat", 0.5)
    row = {"id": id_, "label": "购物车页面", "text": None, "messages": None}
    row |= {"sha256": f"{number:064x}", "phash": phash(number), **columns}
    hashes = [row["phash"][at : at + 64] for at in range(0, len(row["phash"] or ""), 64)]
    paths = [f"/{id_}/{at}" for at in range(len(hashes))]
    pictures = [{"pixels": path, "phash": hash_, **looks} for path, hash_ in zip(paths, hashes, strict=True)]
    return {"images": paths, "looks": pictures or None, **row}


def apply(rows: list[dict[str, Any]], **parameters: Any) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    table = Duplicates(**parameters).apply(pl.LazyFrame(rows, schema=SCHEMA), TOOLS)
    assert table.rejects is not None
    return table.frame.collect(), table.rejects.collect(), table.notes


def groups(frame: pl.DataFrame) -> dict[str, str]:
    return dict(frame.select("id", "duplicate_of").iter_rows())


def test_a_record_alone_is_its_own_group() -> None:
    frame, rejects, notes = apply([record("a"), record("b")])
    assert groups(frame) == {"a": "a", "b": "b"}
    assert rejects.height == 0
    assert notes["duplicates"] == 0


def test_equal_files_are_one_group_named_after_the_smallest_id() -> None:
    frame, _, notes = apply([record("c", sha256="1"), record("a", sha256="1"), record("b")])
    assert groups(frame) == {"c": "a", "a": "a", "b": "b"}
    assert (notes["groups_of_duplicates"], notes["duplicates"]) == (1, 1)


def test_pictures_that_look_alike_are_one_group_up_to_the_bound() -> None:
    near, far = flipped(phash(1), *range(8)), flipped(phash(1), *range(100, 109))
    frame, _, _ = apply([record("a", phash=phash(1)), record("b", phash=near), record("c", phash=far)])
    assert groups(frame) == {"a": "a", "b": "a", "c": "c"}


def test_groups_join_through_a_record_in_between() -> None:
    first, second = flipped(phash(1), *range(8)), flipped(phash(1), *range(8, 16))
    frame, _, _ = apply([record("a", phash=first), record("b", phash=phash(1)), record("c", phash=second)])
    assert set(groups(frame).values()) == {"a"}


def test_without_max_hamming_only_equal_files_count() -> None:
    rows = [
        record("a", phash=phash(1)),
        record("b", phash=phash(1)),
        record("c", sha256="1"),
        record("d", sha256="1"),
    ]
    frame, _, _ = apply(rows, max_hamming=None)
    assert groups(frame) == {"a": "a", "b": "b", "c": "c", "d": "c"}


def test_records_without_pictures_are_never_duplicates() -> None:
    frame, rejects, _ = apply([record(id_, sha256=None, phash=None) for id_ in "abc"], drop="alike")
    assert groups(frame) == {"a": "a", "b": "b", "c": "c"}
    assert rejects.height == 0


def test_hashes_of_different_numbers_of_pictures_are_not_compared() -> None:
    frame, _, _ = apply([record("a", phash=phash(1)), record("b", phash=phash(1) * 2)])
    assert groups(frame) == {"a": "a", "b": "b"}


def test_copies_of_real_screens_are_found_and_different_screens_are_not(tmp_path: Path) -> None:
    rows = []
    for number in (1, 4, 7, 20, 32):
        original = SCREENS / f"{number:04d}.jpg"
        copy, small = tmp_path / f"{number}.webp", tmp_path / f"{number}.png"
        picture = load_rgb(original)
        picture.save(copy, quality=70)
        picture.resize((picture.width // 2, picture.height // 2)).save(small)
        rows += [(f"s{number}-{path.suffix}", path) for path in (original, copy, small)]
    facts = ImageFacts()
    worker = facts.start(TOOLS)
    records = []
    for id_, path in rows:
        row = {"images": [str(path)]}
        answer = worker.answer(row)
        assert isinstance(answer, Done)
        columns = facts.columns(answer.raw, row, TOOLS)
        assert isinstance(columns, dict)
        names = ("sha256", "phash", "looks")
        records.append(record(id_, images=row["images"], **{name: columns[name] for name in names}))
    frame, _, notes = apply(records)
    assert notes["groups_of_duplicates"] == 5
    for id_, group in groups(frame).items():
        assert id_.split("-")[0] == group.split("-")[0]


def test_contradicting_labels_are_named_for_review() -> None:
    rows = [
        record("a", sha256="1"),
        record("b", sha256="1", label="退货页面"),
        record("c", sha256="1"),
        record("d"),
    ]
    frame, rejects, notes = apply(rows)
    reviews = dict(frame.select("id", "review").iter_rows())
    assert reviews["a"] == reviews["c"] == "another label on the same picture: 退货页面 (b)"
    assert reviews["b"] == "another label on the same picture: 购物车页面 (a)"
    assert reviews["d"] is None
    assert rejects.height == 0
    assert (notes["label_conflicts"], notes["records_in_conflict"]) == (1, 3)


def test_contradicting_labels_can_be_rejected() -> None:
    rows = [record("a", sha256="1"), record("b", sha256="1", label="退货页面"), record("c")]
    frame, rejects, _ = apply(rows, on_label_conflict="reject")
    assert frame["id"].to_list() == ["c"]
    assert frame["review"].to_list() == [None]
    assert sorted(rejects["id"]) == ["a", "b"]
    assert set(rejects["reason"]) == {"label_conflict"}
    assert all("another label" in detail for detail in rejects["detail"])


def test_contradicting_labels_can_be_kept() -> None:
    rows = [record("a", sha256="1"), record("b", sha256="1", label="退货页面")]
    frame, rejects, notes = apply(rows, on_label_conflict="keep")
    assert frame["review"].to_list() == [None, None]
    assert rejects.height == 0
    assert notes["label_conflicts"] == 1


def test_a_missing_label_contradicts_nothing() -> None:
    _, _, notes = apply([record("a", sha256="1"), record("b", sha256="1", label=None)])
    assert notes["label_conflicts"] == 0


def test_equal_duplicates_can_be_dropped_but_look_alikes_stay() -> None:
    rows = [
        record("a", sha256="1", phash=phash(1)),
        record("b", sha256="1", phash=phash(1)),
        record("c", sha256="2", phash=flipped(phash(1), 3)),
    ]
    frame, rejects, _ = apply(rows, drop="equal")
    assert frame["id"].to_list() == ["a", "c"]
    assert rejects.rows() == [("b", "duplicate", "same picture, label and text as a")]
    frame, rejects, _ = apply(rows, drop="alike")
    assert frame["id"].to_list() == ["a"]
    assert sorted(rejects["id"]) == ["b", "c"]


def test_another_question_on_the_same_picture_is_not_dropped() -> None:
    rows = [record("a", sha256="1", text="有几件商品？"), record("b", sha256="1", text="总价是多少？")]
    frame, rejects, _ = apply(rows, drop="equal")
    assert frame.height == 2
    assert rejects.height == 0


def test_another_question_on_the_same_picture_makes_neither_duplicate_nor_conflict() -> None:
    rows = [
        record("a", sha256="1", text="<image>有几件商品？", label="2"),
        record("b", sha256="1", text="总价是多少？", label="30"),
        record("c", sha256="1", text="有几件 商品？<image>", label="3"),
    ]
    frame, rejects, notes = apply(rows, on_label_conflict="reject")
    assert groups(frame) == {"b": "b"}
    assert sorted(rejects["id"]) == ["a", "c"]
    assert (notes["duplicates"], notes["label_conflicts"]) == (1, 1)
    frame, _, _ = apply(rows)
    assert set(frame["shares_picture_with"]) == {"a"}


def dialogue(*contents: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[at % 2], "content": content} for at, content in enumerate(contents)]


def test_other_dialogues_on_the_same_picture_are_not_dropped() -> None:
    rows = [
        record("a", sha256="1", label=None, messages=dialogue("<image>这是什么？", "一件外套。")),
        record("b", sha256="1", label=None, messages=dialogue("<image>多少钱？", "三百元。")),
        record("c", sha256="1", label=None, messages=dialogue("<image>这是什么？", "一件大衣。")),
        record("d", sha256="1", label=None, messages=dialogue("<image>这是什么？", "一件外套。")),
    ]
    frame, rejects, notes = apply(rows, drop="equal")
    assert frame["id"].to_list() == ["a", "b", "c"]
    assert rejects["id"].to_list() == ["d"]
    assert groups(frame) == {"a": "a", "b": "b", "c": "a"}
    assert notes["duplicates"] == 2


def test_records_that_have_one_of_several_pictures_in_common_share_it_but_are_no_duplicates() -> None:
    one, two, three = phash(1), phash(2), phash(3)
    rows = [record("a", phash=one + two), record("b", phash=two + three), record("c", phash=three)]
    rows += [record("d", phash=phash(4)), record("e", phash=flipped(one, 3) + two)]
    frame, _, _ = apply(rows)
    assert groups(frame) == {"a": "a", "b": "b", "c": "c", "d": "d", "e": "a"}
    shares = dict(frame.select("id", "shares_picture_with").iter_rows())
    assert shares == {"a": "a", "b": "a", "c": "a", "d": None, "e": "a"}
    frame, _, _ = apply([record("a", phash=one), record("b", phash=one), record("c", phash=two)])
    assert groups(frame) == {"a": "a", "b": "a", "c": "c"}
    assert set(frame["shares_picture_with"]) == {None}  # `duplicate_of` says it all


def test_pictures_of_another_colour_are_others() -> None:
    red, other = "c82828" * 64, "c82828" * 63 + "c83a28"
    rows = [record("a", phash=phash(1), colours=red), record("b", phash=phash(1), colours=other)]
    assert groups(apply(rows)[0]) == {"a": "a", "b": "b"}
    assert groups(apply(rows, max_colour=18)[0]) == {"a": "a", "b": "a"}


def test_plain_pictures_are_the_same_only_when_their_pixels_are() -> None:
    for plain in ({"detail": 0.01}, {"detail": 0.2, "flat": 0.9}):
        rows = [record(id_, phash=phash(1), **plain) for id_ in "abc"]
        rows[2]["looks"][0]["pixels"] = rows[0]["looks"][0]["pixels"]
        assert groups(apply(rows)[0]) == {"a": "a", "b": "b", "c": "a"}


def test_many_colours_of_one_shape_stay_apart() -> None:
    levels = np.random.default_rng(1).integers(0, 256, (1500, 3))
    rows = [
        record(f"r{at:04d}", sha256=f"{at}", phash=phash(1), colours=bytes(colour).hex() * 64)
        for at, colour in enumerate(levels.astype(np.uint8).tolist())
    ]
    frame, _, _ = apply(rows, max_colour=2)
    apart = np.abs(levels[:, None] - levels[None]).max(axis=2) <= 2
    assert frame["duplicate_of"].n_unique() == len(partition(components(*np.nonzero(apart), 1500)))


def old(id_: str, path: Path, original: Path, *bits: int) -> dict[str, Any]:
    """A record whose facts datakit 0.1 stored: no looks, and a hash that was made of the whole picture."""
    hash_ = flipped(image_facts(str(original))["phash"], *bits)
    return record(id_, images=[str(path)], phash=hash_, looks=None)


def test_old_facts_are_looked_at_again_where_a_duplicate_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screens = [SCREENS / f"{number:04d}.jpg" for number in (1, 4, 7)]
    load_rgb(screens[0]).save(tmp_path / "copy.jpg", quality=60)
    load_rgb(screens[0]).convert("L").save(tmp_path / "grey.jpg")
    seen: list[str] = []

    def noted(path: str) -> Any:
        seen.append(path)
        return image_facts(path)

    monkeypatch.setattr("datakit.curate._pictures.image_facts", noted)
    rows = [old(f"o{at}", path, path, 2, 9) for at, path in enumerate(screens)]
    assert groups(apply(rows)[0]) == {"o0": "o0", "o1": "o1", "o2": "o2"}
    assert seen == []
    rows.append(old("oc", tmp_path / "copy.jpg", screens[0], 40))
    rows.append(old("og", tmp_path / "grey.jpg", screens[0], 50))
    assert groups(apply(rows)[0]) == {"o0": "o0", "o1": "o1", "o2": "o2", "oc": "o0", "og": "og"}
    assert set(seen) == {str(screens[0]), str(tmp_path / "copy.jpg"), str(tmp_path / "grey.jpg")}
    facts = image_facts(str(tmp_path / "copy.jpg"))
    rows.append(record("n", phash=facts["phash"], looks=[facts], images=[str(tmp_path / "copy.jpg")]))
    assert groups(apply(rows)[0])["n"] == "n"  # the first of its group, with o0 and oc
    assert groups(apply(rows)[0])["o0"] == "n"


def test_old_facts_of_a_picture_that_is_gone_say_nothing_of_what_it_shows(tmp_path: Path) -> None:
    screen = SCREENS / "0001.jpg"
    rows = [old("a", tmp_path / "gone.jpg", screen), old("b", screen, screen)]
    assert groups(apply(rows)[0]) == {"a": "a", "b": "b"}
    assert groups(apply([{**row, "sha256": "1"} for row in rows])[0]) == {"a": "a", "b": "a"}


def test_records_in_a_conflict_are_not_dropped() -> None:
    rows = [record("a", sha256="1"), record("b", sha256="1"), record("c", sha256="1", label="退货页面")]
    frame, _, _ = apply(rows, drop="alike")
    assert frame.height == 3


def test_splits_by_group_never_part_duplicates() -> None:
    rows = [record(f"r{n:03d}", sha256=f"{n // 3}", phash=phash(n // 3)) for n in range(90)]
    frame, _, _ = apply(rows)
    split = Split(val=0.2, group="duplicate_of").apply(frame.lazy(), TOOLS).frame.collect()
    assert split.group_by("duplicate_of").agg(pl.col("split").n_unique())["split"].max() == 1
    assert split.filter(split="val").height == 18


def test_zero_records_give_the_columns() -> None:
    table = Duplicates().apply(pl.LazyFrame(schema=SCHEMA), TOOLS)
    assert dict(table.frame.collect_schema()) == {
        **SCHEMA,
        "duplicate_of": pl.String(),
        "shares_picture_with": pl.String(),
        "review": pl.String(),
    }


def test_max_hamming_is_bounded() -> None:
    with pytest.raises(RecipeErrors):
        Duplicates(max_hamming=65)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 60),
    bits=st.sampled_from([8, 64, 72, 256, 512]),
    max_bits=st.integers(0, 20),
    spread=st.integers(1, 40),
    few=st.sampled_from([2, 8, 256]),
)
def test_near_groups_are_those_of_comparing_all(
    seed: int, count: int, bits: int, max_bits: int, spread: int, few: int
) -> None:
    hashes = clustered(seed, count, bits, spread)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datakit.core.near_hashes._FEW", few)
        patch.setattr("datakit.core.near_hashes._PAIRS_AT_ONCE", few * 10)
        found = near_groups(hashes, max_bits)
    assert partition(found) == brute_force(hashes, max_bits)


@pytest.mark.parametrize("spread", [4, 12, 20])
def test_near_groups_hold_where_most_hashes_share_a_piece(spread: int) -> None:
    for seed in range(3):
        hashes = clustered(seed, 900, 256, spread)
        assert partition(near_groups(hashes, 8)) == brute_force(hashes, 8)


def test_near_groups_of_no_hash_and_of_one() -> None:
    none = np.zeros((0, 32), dtype=np.uint8)
    assert near_groups(none, 8).tolist() == []
    assert len(near_groups(np.zeros((1, 32), dtype=np.uint8), 8)) == 1


def test_near_groups_of_100000_hashes_compare_few_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.random.default_rng(1).integers(0, 256, (100_000, 32), dtype=np.uint8)
    hashes[50_000:51_000] = hashes[:1000]
    hashes[50_000:51_000, 0] ^= 7
    compared = counted(monkeypatch)
    groups = near_groups(hashes, 8)
    assert (groups[50_000:51_000] == groups[:1000]).all()
    assert len(set(groups.tolist())) == 99_000
    assert sum(compared) < 100_000**2 / 2 / 1000


@pytest.mark.parametrize("kind", ["equal", "one cluster", "shared pieces"])
def test_hashes_made_to_collide_cost_no_more_than_others(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    hashes = np.repeat(rng.integers(0, 256, (1, 32), dtype=np.uint8), 20_000, axis=0)
    if kind == "one cluster":
        for _ in range(4):
            hashes[np.arange(20_000), rng.integers(0, 32, 20_000)] ^= 1 << rng.integers(0, 8, dtype=np.uint8)
    if kind == "shared pieces":
        hashes[:, 24:] = rng.integers(0, 256, (20_000, 8), dtype=np.uint8)
    compared = counted(monkeypatch)
    groups = near_groups(hashes, 8)
    assert len(set(groups.tolist())) == (20_000 if kind == "shared pieces" else 1)
    assert sum(compared) < 20_000**2 / 2 / 5


@settings(max_examples=30, deadline=None)
@given(st.permutations([*"abcdefgh"]))
def test_order_decides_nothing(order: list[str]) -> None:
    shared = {"a": "1", "c": "1", "e": "2", "b": "2"}
    rows = [record(id_, sha256=shared.get(id_, id_), label="x" if id_ == "e" else "y") for id_ in order]
    frame, rejects, _ = apply(rows, drop="equal")
    assert frame["id"].to_list() == [id_ for id_ in order if id_ != "c"]
    assert groups(frame) == {id_: {"e": "b"}.get(id_, id_) for id_ in order if id_ != "c"}
    assert rejects["id"].to_list() == ["c"]


def clustered(seed: int, count: int, bits: int, spread: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Hashes around a few centres, at most `spread` bits away from them."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 256, (3, bits // 8), dtype=np.uint8)
    hashes = centres[rng.integers(0, 3, count)]
    for row in hashes:
        for bit in rng.integers(0, bits, rng.integers(0, spread + 1)):
            row[bit >> 3] ^= 1 << (bit & 7)
    return hashes


def partition(groups: np.ndarray[Any, np.dtype[np.int64]]) -> set[frozenset[int]]:
    found: dict[int, set[int]] = {}
    for row, group in enumerate(groups.tolist()):
        found.setdefault(group, set()).add(row)
    return {frozenset(rows) for rows in found.values()}


def brute_force(hashes: np.ndarray[Any, np.dtype[np.uint8]], max_bits: int) -> set[frozenset[int]]:
    """Groups by comparing all pairs of rows, as whole numbers."""
    numbers = [int.from_bytes(row.tobytes()) for row in hashes]
    left = set(range(len(numbers)))
    groups = set()
    while left:
        group = waiting = {left.pop()}
        while waiting:
            waiting = {
                a for a in left if any((numbers[a] ^ numbers[b]).bit_count() <= max_bits for b in waiting)
            }
            left -= waiting
            group = group | waiting
        groups.add(frozenset(group))
    return groups


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pairs of hashes are compared from here on."""
    compared: list[int] = []
    compare = _Search._compare_portion

    def count(self: _Search, left: Any, right: Any) -> None:
        compared.append(left.shape[0] * left.shape[1] * right.shape[1])
        compare(self, left, right)

    monkeypatch.setattr(_Search, "_compare_portion", count)
    return compared
