"""Steps in Python: engine and store of a build, tables with thumbnails, an interrupt that stops paying."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

import datakit as dk
from datakit.core.errors import RecipeErrors, UserError
from datakit.outside_loop import outside_loop
from tests.support.toys import AsyncWork, Numbers, OnlyOdd, Work
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def _in_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def answers(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_steps_give_records_rejects_and_report(project: Path) -> None:
    data = dk.apply([OnlyOdd()], Numbers(count=6), quiet=True)
    assert data.frame["id"].to_list() == ["n1", "n3", "n5"]
    assert data.rejects["reason"].to_list() == ["even"] * 3
    assert [(step.name, step.records_out) for step in data.report] == [
        ("toy.numbers", 6),
        ("toy.only_odd", 3),
    ]
    assert "3 records, 3 rejected" in repr(data)


def test_steps_go_on_from_earlier_records_and_pay_once(project: Path) -> None:
    log = project / "log"
    data = dk.apply([OnlyOdd()], Numbers(count=6), quiet=True)
    first = dk.apply([Work(log=str(log))], data, quiet=True)
    again = dk.apply([Work(log=str(log))], first.frame.drop("worked"), take=2, quiet=True)
    assert first.frame["worked"].to_list() == ["1", "3", "5"]
    assert len(again) == 2
    assert answers(log) == ["1", "3", "5"]


def test_missing_column_is_an_error_in_words(project: Path) -> None:
    with pytest.raises(RecipeErrors, match=r"step 1 \(toy.work\): column `text`"):
        dk.apply([Work(log="log")], pl.DataFrame({"id": ["a"], "images": [[]]}), quiet=True)
    with pytest.raises(UserError, match="no column `images`"):
        dk.apply([Work(log="log")], pl.DataFrame({"id": ["a"]}), quiet=True)


def test_table_shows_thumbnails_and_escapes_what_comes_from_data(project: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(project / "a.png")
    frame = pl.DataFrame(
        {"id": ["<script>", "b"], "images": [[str(project / "a.png")], [str(project / "gone.png")]]}
    )
    shown = dk.apply([], frame, quiet=True)._repr_html_()
    assert shown.count("data:image/jpeg;base64,") == 1
    assert "image_missing" in shown
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_works_where_an_event_loop_is_running(project: Path) -> None:
    async def cell() -> int:
        return len(dk.apply([AsyncWork(log=str(project / "log"))], Numbers(count=5), quiet=True))

    assert asyncio.run(cell()) == 5
    assert sorted(answers(project / "log")) == ["0", "1", "2", "3", "4"]


def test_interrupt_in_a_running_loop_stops_the_paid_work(project: Path) -> None:
    log = project / "log"

    async def cell() -> None:
        slow = Work(log=str(log), sleep_s=0.05)
        dk.apply([slow], Numbers(count=400), quiet=True)

    def interrupt() -> None:
        until(lambda: len(answers(log)) >= 3)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(cell())
    paid = answers(log)
    assert 3 <= len(paid) < 100
    again = dk.apply([Work(log=str(log))], Numbers(count=len(paid) - 1), quiet=True)
    assert answers(log) == paid
    assert len(again) == len(paid) - 1


def test_interrupt_waits_until_the_work_has_ended() -> None:
    started, cancelled, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        assert cancelled.wait(60)
        time.sleep(0.1)  # the last call takes its time, which nobody may miss
        ended.set()

    def interrupt() -> None:
        assert started.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    async def cell() -> None:
        outside_loop(work, cancelled.set)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(cell())
    assert ended.is_set()


def boxed(project: Path, count: int = 4) -> dk.Records:
    """Records with a picture and a box on it each."""
    Image.new("RGB", (400, 300), "white").save(project / "a.png")
    frame = pl.DataFrame(
        {
            "id": [f"r{at}" for at in range(count)],
            "images": [[str(project / "a.png")]] * count,
            "label": ["a", "b"] * (count // 2),
            "text": ["x" * at for at in range(count)],
            "sha256": ["0" * 64] * count,
            "boxes": [[{"image": 0, "box": [100.0, 75.0, 300.0, 225.0], "label": None, "text": None}]]
            * count,
            "split": ["train", "val"] * (count // 2),
            "@1.note": ["n"] * count,
        }
    )
    return dk.apply([], frame, quiet=True)


def test_records_are_indexed_sliced_filtered_and_gone_through(project: Path) -> None:
    data = boxed(project)
    assert data[0]["id"] == "r0"
    assert data[-1]["id"] == "r3"
    assert [record["id"] for record in data[1:3]] == ["r1", "r2"]
    assert [record["id"] for record in data.filter(pl.col("text") != "", label="a")] == ["r2"]
    with pytest.raises(IndexError, match="no record 4: there are 4"):
        data[4]
    assert len(data[9:]) == len(data.filter(label="none")) == 0


def test_sample_is_the_same_for_a_seed_and_of_a_class(project: Path) -> None:
    data = boxed(project, 40)
    assert data.sample(5).frame.equals(data.sample(5).frame)
    assert not data.sample(5).frame.equals(data.sample(5, seed=8).frame)
    assert set(data.sample(3, label="b").frame["label"]) == {"b"}
    assert len(data.sample(99)) == 40
    assert len(data.sample(0)) == 0
    with pytest.raises(UserError, match="no record has the label `c`"):
        data.sample(1, label="c")
    with pytest.raises(UserError, match="a sample of -1 records"):
        data.sample(-1)


def test_table_draws_boxes_and_hides_what_only_machines_read(project: Path) -> None:
    import base64
    import io
    import re

    shown = boxed(project)._repr_html_()
    assert "0000" not in shown
    assert "@1.note" not in shown
    assert (
        "<th style='text-align:left;vertical-align:top;max-width:24em;overflow-wrap:anywhere'>label" in shown
    )
    picture = re.search(r"base64,([^']+)", shown)
    assert picture is not None
    drawn = Image.open(io.BytesIO(base64.b64decode(picture[1])))
    assert drawn.size == (224, 168)
    red, green, _ = drawn.getpixel((112, 41))  # the upper side of the box, at the picture's scale
    assert red > green + 50
    large = boxed(project)[0]._repr_html_()
    assert "sha256" not in large
    assert "data:image/jpeg" in large


def test_records_go_to_other_libraries_and_files(project: Path) -> None:
    data = boxed(project)
    pandas, sets = data.to_pandas(), data.to_datasets()
    assert list(pandas["id"]) == sets["id"][:] == ["r0", "r1", "r2", "r3"]
    assert "@1.note" not in pandas.columns
    assert sets[0]["images"][0].size == (400, 300)
    assert pl.read_parquet(data.save("d.parquet")).equals(data.frame.drop("@1.note"))
    assert pl.read_ndjson(data.save("d.jsonl"))["id"].to_list() == ["r0", "r1", "r2", "r3"]
    with pytest.raises(UserError, match="is there already"):
        data.save("d.jsonl")
    assert data[:1].save("d.jsonl", overwrite=True).read_text().count("\n") == 1
    with pytest.raises(UserError, match=r"neither .parquet nor .jsonl"):
        data.save("d.csv")
    assert data.save("no/such/d.jsonl").is_file()
    (project / "file").touch()
    with pytest.raises(UserError, match=r"cannot write file.d\.jsonl: Not a directory|exists"):
        data.save("file/d.jsonl")
    assert data[:0].to_datasets().column_names == data.to_datasets().column_names
    assert not list(project.glob(".*.part"))


def test_records_are_emitted_and_what_is_left_out_is_told(project: Path) -> None:
    (project / "templates" / "p.j2").write_text("<image>?\n{{ answer_format }}", "utf-8")
    chats = dk.apply([dk.render.Chat(prompt="p.j2", answer="label_only")], boxed(project), quiet=True)
    done = chats.emit(dk.emit.Llamafactory(), out="made/set", name="mine")
    assert {"mine_train.json", "mine_val.json"} <= {path.name for path in done.files}
    assert all(path.is_file() for path in done.files)
    assert done.rejects.height == 0
    assert "0 records left out" in repr(done)
    with pytest.raises(UserError, match="is there already"):
        chats.emit(dk.emit.Llamafactory(), out="made/set")
    with pytest.raises(UserError, match="no emitter is named"):
        chats.emit(out="made/other")
    with pytest.raises(RecipeErrors, match=r"column `messages`[^?]*render\.chat"):
        boxed(project).emit(dk.emit.Llamafactory(), out="made/other")
    assert [path.name for path in (project / "made").iterdir()] == ["set"]


def test_plots_of_records_are_svg_and_say_what_is_missing(project: Path) -> None:
    data = boxed(project)
    said = pl.DataFrame({"id": ["r0", "r1", "r2"], "predicted": ["a", "a", None]})
    for plot in (data.plot.balance(), data.plot.lengths(), data.plot.confusion(said)):
        assert plot._repr_svg_().lstrip().startswith("<")
        assert "<svg" in plot.svg
        assert plot.save(project / "p.svg").read_text("utf-8") == plot.svg
    for draw, words in (
        (lambda: data.plot.balance("labl"), "no column `labl`"),
        (lambda: data.plot.lengths("boxes"), "neither texts nor numbers"),
        (lambda: data.plot.confusion(), "no column `predicted`"),
        (lambda: data.plot.confusion(said.drop("id")), "no column `id`"),
        (lambda: data[:0].plot.balance(), "no record to draw"),
    ):
        with pytest.raises(UserError, match=words):
            draw()


def test_records_are_chosen_by_a_function_and_columns_by_their_name(project: Path) -> None:
    data = boxed(project)
    assert data["id"].to_list() == ["r0", "r1", "r2", "r3"]
    kept = data.filter(lambda record: record["label"] == "a", pl.col("text") != "")
    assert kept["id"].to_list() == ["r2"]
    assert len(data.filter(lambda record: None)) == 0
    assert data.filter(label=None)["id"].to_list() == []
    holes = dk.apply([], data.frame.with_columns(label=pl.Series(["a", None, "b", None])), quiet=True)
    assert holes.filter(label=None)["id"].to_list() == ["r1", "r3"]
    assert data.filter(label=["a"], id=("r0", "r1", "r2"))["id"].to_list() == ["r0", "r2"]
    sized = dk.apply(
        [], data.frame.with_columns(side=pl.Series([1, 2, None, 4], dtype=pl.UInt32)), quiet=True
    )
    for value, count in ((2, 1), (2.0, 1), (-1, 0), (None, 1), ([1, None], 2), ([], 0)):
        assert len(sized.filter(side=value)) == count
    assert len(data.filter(images=data[0]["images"])) == 4
    for ask, words in (
        (lambda: data.filter(label=3), "`label` holds String"),
        (lambda: data.filter(label=["a", 3]), "`label` holds String"),
        (lambda: data[[0, 1]], "`data\\[0\\]`"),  # type: ignore[call-overload]
        (lambda: data[1.5], "`data\\[0\\]`"),  # type: ignore[call-overload]
    ):
        with pytest.raises((UserError, TypeError), match=words):
            ask()
    for ask in (lambda: data["labl"], lambda: data.filter(labl="a")):
        with pytest.raises(UserError, match="no column `labl`") as caught:
            ask()
        assert "`label`" in caught.value.remedy


def test_as_text_records_show_no_hashes_notes_or_places_in_sources(project: Path) -> None:
    data = boxed(project)
    for text in (repr(data), repr(data[0])):
        assert "sha256" not in text
        assert "@1.note" not in text
    assert "source_file" not in repr(data)
    assert "boxes: 1 boxes" in repr(data[0])
    assert "@1.note" not in data[0]
    assert next(iter(data)) == data[0]
    assert repr(data.plot) == "plots: balance(), lengths(), confusion()"


def plain(record: dict[str, object]) -> int:
    return 1


@pytest.mark.parametrize(
    ("steps", "words", "remedy"),
    [
        ([plain], "the function plain is no step", "@dk.step"),
        (["guard.image"], "`guard.image` is a name", "dk.guard.Image()"),
        ([dk.guard.Image], "Image is the class of a step", "Write `Image()`"),
        ([3], "3 is no step", "dk.guard.Image()"),
        (dk.guard.Image(), "the steps are no list", "[dk.guard.Image()]"),
        ("guard.image", "the steps are no list", "[dk.guard.Image()]"),
        ([Numbers(count=1)], "toy.numbers is a reader", "as the data"),
        ([dk.emit.Llamafactory()], "emit.llamafactory is an emitter", ".emit("),
    ],
)
def test_what_is_no_step_is_told_with_what_to_write(steps: object, words: str, remedy: str) -> None:
    with pytest.raises(UserError) as caught:
        dk.apply(steps, Numbers(count=2), quiet=True)  # type: ignore[arg-type]
    assert words in caught.value.message
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("data", ["train.jsonl", Path("train.jsonl"), [{"id": "a"}], None, {"id": ["a"]}])
def test_what_holds_no_records_is_told(data: object) -> None:
    with pytest.raises(UserError, match="holds no records"):
        dk.apply([], data, quiet=True)  # type: ignore[arg-type, call-overload, unused-ignore]
    with pytest.raises(UserError, match="is no emitter"):
        boxed(Path.cwd()).emit("llamafactory", out="x")  # type: ignore[arg-type]


def test_a_recipe_says_why_it_has_no_steps_made_of_functions(project: Path) -> None:
    (project / "recipes").mkdir(exist_ok=True)
    recipe = project / "recipes" / "r.yaml"
    recipe.write_text("name: r\nsteps:\n  - read.jsonl: {path: a.jsonl}\n  - step.words: {}\n", "utf-8")
    with pytest.raises(RecipeErrors, match=r"(?s)r.yaml:4.*a recipe runs no code.*dk\.apply"):
        dk.load(recipe)
