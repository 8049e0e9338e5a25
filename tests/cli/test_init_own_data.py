"""`datakit init PATH`: every kind of data becomes a project that builds and passes the check as it stands."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.labels import load_labels
from datakit.library import load
from datakit.run.progress import Progress
from datakit.starting.first_build import first_build
from tests.support import own_data
from tests.support.loopback import KEY, Loopback

Run = Callable[..., Any]
ZH, EN = "zh", "en"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


def started(datakit: Run, *words: object) -> dict[str, Any]:
    """What init says of data as JSON."""
    done = datakit("init", *words, "--json")
    assert done.code == 0, done.err + done.out
    return dict(json.loads(done.out))


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


FOLDER = {"购物车页面": 14, "订单详情页面": 12}
KINDS: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "folder": (lambda root: own_data.folder_by_label(root, FOLDER), "image_folder", "classify", ZH),
    "csv": (own_data.labelled_csv, "csv", "classify", ZH),
    "parquet": (own_data.parquet, "parquet", "classify", EN),
    "questions": (own_data.questions, "jsonl", "vqa", EN),
    "receipts": (own_data.receipts, "jsonl", "extract", EN),
    "llava": (own_data.llava, "json", "chats", EN),
    "ms_swift": (own_data.ms_swift, "jsonl", "chats", ZH),
    "llamafactory": (own_data.llamafactory, "llamafactory", "chats", ZH),
    "coco": (own_data.coco, "coco", "boxes", EN),
    "label_studio": (own_data.label_studio, "label_studio", "boxes", ZH),
    "unlabelled": (lambda root: own_data.pictures(root, 24) and root, "image_folder", "caption", EN),
}


@pytest.mark.parametrize("kind", KINDS)
def test_data_becomes_a_project_that_builds_and_passes_the_check(
    datakit: Run, tmp_path: Path, kind: str
) -> None:
    make, form, task, language = KINDS[kind]
    data = tmp_path / "data"
    path = make(data)
    before = state(data)
    made = started(datakit, path, "--into", "mine")
    found = made["found"]
    assert (found["format"], found["task"], found["language"]) == (form, task, language)
    assert state(data) == before
    assert made["first_build"]["error"] == ""
    look = BuildFolder.open(Path(made["first_build"]["build"]))
    assert look.path == tmp_path / "work" / "mine" / "build" / "mine.limit20"
    assert look.records.collect().height == 20
    assert any(Path(card).is_file() for card in made["first_build"]["cards"])
    assert all((tmp_path / "work" / "mine" / file).is_file() for file in made["files"])
    assert load(made["recipe"]).language == language
    assert datakit("build", made["recipe"], "-q", "--no-card").code == 0
    full = tmp_path / "work" / "mine" / "build" / "mine"
    assert datakit("check", full).code == 0
    assert BuildFolder.open(full).records.collect().height == found["records"]
    assert look.path.is_dir()


def test_found_things_and_doubts_are_said_and_the_readme_has_commands_that_run(
    datakit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_data.folder_by_label(tmp_path / "photos", {"猫": 12, "狗": 3})
    done = datakit("init", "../photos")
    assert done.code == 0
    assert "Found the folder photos: 15 pictures, 2 labels, Chinese; to classify pictures." in done.out
    assert "fewer than 10 records of 1 label (狗)" in done.out
    project = tmp_path / "work" / "photos-project"
    assert "photos-project/build/photos.limit20/card/photos.html" in done.out
    monkeypatch.chdir(project)
    readme = (project / "README.md").read_text("utf-8")
    block = readme.partition("```bash\n")[2].partition("```")[0]
    commands = [line.partition("#")[0].split() for line in block.splitlines()]
    assert [command[1] for command in commands] == ["build", "verdict", "plan", "build", "check"]
    for command in commands:
        assert datakit(*command[1:]).code == 0, command


def test_label_file_has_counts_nearest_labels_and_descriptions_to_write(datakit: Run, tmp_path: Path) -> None:
    own_data.folder_by_label(tmp_path / "pages", {"物流列表页面": 3, "物流跟踪页面": 5, "聊天": 2})
    made = started(datakit, tmp_path / "pages", "--no-build")
    text = (Path(made["project"]) / "templates" / "pages" / "labels.yaml").read_text("utf-8")
    assert (
        '- name: 物流跟踪页面\n    description: ""  # to write; 5 records; by its name near 物流列表页面\n'
        in text
    )
    assert '- name: 聊天\n    description: ""  # to write; 2 records\n' in text


ODD = ['it\'s "q"', "{{ x }}", "a: b #c", "{% raw %}", "- yes", "null", "1e5", "@d", "|"]


def test_labels_that_yaml_or_jinja_would_take_for_something_else_stay_what_they_are(
    datakit: Run, tmp_path: Path
) -> None:
    own_data.folder_by_label(tmp_path / 'odd\'s "data" {x}', dict.fromkeys(ODD, 2))
    made = started(datakit, tmp_path / 'odd\'s "data" {x}', "--into", "odd")
    labels = load_labels(Path(made["project"]) / "templates" / "odd" / "labels.yaml")
    assert sorted(labels.names) == sorted(ODD)
    records = BuildFolder.open(Path(made["first_build"]["build"])).records.collect()
    assert Counter(records["label"]) == dict.fromkeys(ODD, 2)


@pytest.mark.fault(
    "a project that would lie in its own data", "refused before anything is written", kind="folders"
)
@pytest.mark.parametrize("into", ["../photos/project", "../photos", "../photos/cat/x", "link/project"])
def test_project_never_lies_in_the_data(datakit: Run, tmp_path: Path, into: str) -> None:
    data = own_data.folder_by_label(tmp_path / "photos", {"cat": 3, "dog": 3})
    (tmp_path / "work" / "link").symlink_to(data)
    before = state(data)
    done = datakit("init", data, "--into", into)
    assert (done.code, "would lie in the data" in done.err) == (2, True)
    assert f"--into {tmp_path / 'photos-project'}" in done.err
    assert state(data) == before


def test_build_folder_of_a_project_is_never_the_data(datakit: Run, tmp_path: Path) -> None:
    own_data.folder_by_label(tmp_path / "work" / "build", {"cat": 3, "dog": 3})
    done = datakit("init", "build", "--into", ".")
    assert (done.code, "would lie in the data" in done.err) == (2, True)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["build"]


def test_table_beside_its_pictures_may_have_its_project_beside(datakit: Run, tmp_path: Path) -> None:
    own_data.labelled_csv(tmp_path / "work")
    assert started(datakit, "train.csv", "--no-build")["project"] == str(tmp_path / "work" / "train-project")
    done = datakit("init", "train.csv", "--into", "images/mine")
    assert (done.code, "would lie in the data" in done.err) == (2, True)


def test_files_that_are_there_are_never_written_over(datakit: Run, tmp_path: Path) -> None:
    own_data.folder_by_label(tmp_path / "photos", {"cat": 3, "dog": 3})
    (tmp_path / "work" / "README.md").write_text("mine")
    done = datakit("init", tmp_path / "photos", "--into", ".")
    assert (done.code, "README.md" in done.err) == (2, True)
    assert state(tmp_path / "work") == {"README.md": b"mine"}


@pytest.mark.fault(
    "pictures' paths in a table that start from another folder",
    "the folder is found and said, or the path that is missing",
    kind="bounds",
)
def test_paths_that_start_elsewhere_are_found_or_the_missing_one_is_named(
    datakit: Run, tmp_path: Path
) -> None:
    names = own_data.pictures(tmp_path / "deep" / "pics", 8)
    rows = [{"image": name, "label": "ab"[at % 2]} for at, name in enumerate(names)]
    table = own_data.lines(tmp_path / "deep" / "meta" / "t.jsonl", rows)
    made = started(datakit, table, "--no-build")
    assert any(f"start from {tmp_path / 'deep' / 'pics'}" in doubt for doubt in made["doubts"])
    assert "image_root: ../../../deep/pics" in Path(made["recipe"]).read_text()
    absolute = [{**row, "image": str(tmp_path / "deep" / "pics" / row["image"])} for row in rows]
    table = own_data.lines(tmp_path / "deep" / "meta" / "absolute.jsonl", absolute)
    assert started(datakit, table)["found"]["pictures"] == 8
    table = own_data.lines(tmp_path / "gone" / "t.jsonl", [{"image": "no/x.png", "label": "a"}])
    done = datakit("init", table)
    assert (done.code, str(tmp_path / "gone/no/x.png") in done.err, "--image-root" in done.err) == (
        2,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("photos.zip", b"PK", "unzip"),
        ("photos.tar.gz", b"", "tar xf"),
        ("a.xlsx", b"PK", "CSV UTF-8"),
        ("a.png", b"", "one picture"),
        ("recipe.yaml", b"steps: []", "datakit build"),
        ("a.docx", b"", "--format"),
        ("a.csv", b"", "holds no record"),
        ("a.csv", b"foo,bar\n1,2\n", "--image-column NAME. Columns there: foo, bar"),
        ("a.jsonl", b'{"image": "https://x.y/1.png"}\n', "download the pictures first"),
        ("a.jsonl", b'{"prompt": "a", "chosen": "b", "rejected": "c"}\n', "preference data"),
        ("a.json", b'{"a": [1,', "not JSON"),
    ],
)
def test_what_is_no_data_says_what_to_do(
    datakit: Run, tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(content)
    done = datakit("init", tmp_path / "in" / name)
    assert (done.code, told in done.err) == (2, True), done.err
    assert list((tmp_path / "work").iterdir()) == []


def test_folders_that_are_no_data_say_what_to_do(datakit: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty folder" in datakit("init", tmp_path / "empty").err
    assert "datakit init --example screens" in datakit("init", "screens").err
    assert "say where your data is" in datakit("init").err
    own_data.llamafactory(tmp_path / "lf", sets=2)
    assert "--dataset set_1" in datakit("init", tmp_path / "lf").err
    own_data.lines(tmp_path / "two" / "a.jsonl", [{"image": "x"}])
    own_data.lines(tmp_path / "two" / "b.jsonl", [{"image": "x"}])
    assert f"datakit init {tmp_path / 'two' / 'b.jsonl'}" in datakit("init", tmp_path / "two").err


def test_old_encodings_are_told_or_asked_for_by_the_option(datakit: Run, tmp_path: Path) -> None:
    table = own_data.labelled_csv(tmp_path / "data", encoding="gb18030")
    done = datakit("init", table, "--no-build")
    assert (done.code, "--encoding" in done.err) == (2, True)
    made = started(datakit, table, "--encoding", "gbk")
    assert made["found"]["labels"] == {"猫类": 10, "狗类": 10, "鸟类": 10}


def test_unusable_files_are_counted_and_the_recipe_allows_for_them(datakit: Run, tmp_path: Path) -> None:
    data = own_data.folder_by_label(tmp_path / "mixed", {"cat": 15, "dog": 15})
    (data / "cat" / "notes.txt").write_text("x")
    (data / "dog" / "broken.png").write_bytes(b"\x89PNG")
    for suffix in ("jpg", "png", "gif", "webp"):
        path = own_data.drawn(data / "cat" / f"cut.{suffix}", seed=9)
        path.write_bytes(path.read_bytes()[:-20])
    with own_data.drawn(data / "dog" / "with_more_behind.jpg", seed=8).open("ab") as file:
        file.write(b"what some cameras add")
    made = started(datakit, data)
    assert made["found"]["rejected"] == {"not_a_picture": 1}
    counts = "5 cannot be used (image_truncated 4, image_unreadable 1)"
    assert any(doubt.startswith(f"of 36 pictures that were opened {counts}") for doubt in made["doubts"])
    assert "max_reject_rate: 0.25" in Path(made["recipe"]).read_text()
    assert datakit("build", made["recipe"], "-q").code == 0
    assert "Nothing has changed" in datakit("plan", made["recipe"], "--limit", "20").out  # init's own look
    strict = ("--set", "run.max_reject_rate=0.01")
    look = datakit("build", made["recipe"], "--limit", "20", *strict)
    assert (look.code, "not_a_picture" in look.out or "image_truncated" in look.out) == (0, True)
    assert "more than run.max_reject_rate (1.0%) allows" in datakit("build", made["recipe"], *strict).err


def test_what_the_owner_says_wins(datakit: Run, tmp_path: Path) -> None:
    table = own_data.receipts(tmp_path / "data")
    made = started(datakit, table, "--label-column", "shop", "--language", "zh", "--into", "a", "--no-build")
    assert (made["found"]["task"], made["found"]["language"]) == ("classify", "zh")
    made = started(datakit, table, "--task", "caption", "--into", "b", "--no-build")
    assert "annotate.describe" in Path(made["recipe"]).read_text()
    done = datakit("init", table, "--task", "boxes", "--into", "c")
    assert (done.code, "has no boxes" in done.err) == (2, True)
    done = datakit("init", tmp_path / "data" / "img", "--label-column", "shop", "--into", "d")
    assert (done.code, "--label-column says nothing of the folder img" in done.err) == (2, True)


@pytest.mark.fault(
    "datakit init with a key in the environment",
    "the offline writer writes; no call is made",
    kind="answers",
)
def test_first_build_asks_no_model_unasked(
    datakit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Loopback
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    own_data.pictures(tmp_path / "flat", 6)
    made = started(datakit, tmp_path / "flat")
    assert server.count == 0
    assert [line["kind"] for line in made["first_build"]["verdict"]] == ["offline_texts"]


def test_model_writes_the_first_build_after_a_price_and_a_yes(
    datakit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Loopback
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    own_data.pictures(tmp_path / "flat", 3)
    recipe = Path(started(datakit, tmp_path / "flat", "--no-build")["recipe"])
    asked: list[str] = []

    def yes(words: str) -> bool:
        asked.append(words)
        return True

    assert first_build(recipe, Progress(quiet=True), yes).fault == ""
    assert len(asked) == 1
    assert "$" in asked[0] or "an unknown price" in asked[0]
    assert server.count > 0


def test_label_of_several_lines_is_left_out_with_words(datakit: Run, tmp_path: Path) -> None:
    names = own_data.pictures(tmp_path / "data", 20)
    rows = [{"image": name, "label": "a\nb" if at == 3 else "ok"} for at, name in enumerate(names)]
    made = started(datakit, own_data.lines(tmp_path / "data" / "t.jsonl", rows), "--into", "mine")
    assert made["found"]["labels"] == {"ok": 19}
    assert any("line breaks" in doubt and "left out (1)" in doubt for doubt in made["doubts"])
    assert datakit("build", made["recipe"], "-q").code == 0


def test_a_set_that_the_package_datasets_saved_is_taken_whole(datakit: Run, tmp_path: Path) -> None:
    """Its dataset_info.json is no list of data sets."""
    datasets = pytest.importorskip("datasets")
    own_data.pictures(tmp_path / "flat", 12)
    rows = [
        {"image": str(path), "label": "猫狗"[at % 2]}
        for at, path in enumerate(sorted((tmp_path / "flat").iterdir()))
    ]
    whole = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    whole.save_to_disk(tmp_path / "saved")
    made = started(datakit, tmp_path / "saved")
    assert made["found"]["format"] == "hub"
    labels = load_labels(Path(made["recipe"]).parents[1] / "templates" / "saved" / "labels.yaml")
    assert set(labels.names) == {"猫", "狗"}
    assert sum(1 for _ in Path(made["first_build"]["build"]).glob("*_train.json")) == 1


def test_a_name_of_the_hub_that_cannot_be_reached_is_told(
    datakit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    done = datakit("init", "owner/pictures")
    assert done.code == 2
    assert "cannot load the data set owner/pictures" in done.err
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("name", ["boxes", "looks", "ocr", "review", "duplicate_of"])
def test_a_column_that_bears_the_name_of_a_step_s_is_taken_as_it_is(
    datakit: Run, tmp_path: Path, name: str
) -> None:
    own_data.pictures(tmp_path / "data", 24)
    pictures = sorted(path.name for path in (tmp_path / "data").rglob("*.png"))
    rows = [f"{picture},{'猫狗'[at % 2]},三个" for at, picture in enumerate(pictures)]
    table = tmp_path / "data" / "t.csv"
    table.write_text("\n".join([f"image,label,{name}", *rows]) + "\n", "utf-8")
    made = started(datakit, table)
    assert made["found"]["records"] == 24


def test_boxes_beside_chats_are_written_for_the_trainer_that_has_a_place_for_them(
    tmp_path: Path, datakit: Run
) -> None:
    own_data.pictures(tmp_path / "data", 24)
    turns = [
        {"role": "user", "content": "<image>Find the <ref-object>."},
        {"role": "assistant", "content": "<bbox>"},
    ]
    objects = {"ref": ["sheep"], "bbox": [[1, 2, 20, 24]]}
    pictures = sorted(path for path in (tmp_path / "data").rglob("*") if path.is_file())
    rows = [{"messages": turns, "images": [str(path)], "objects": objects} for path in pictures]
    file = tmp_path / "data/train.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    done = datakit("init", file, "--into", "p")
    assert done.code == 0, done.err
    assert "written for ms-swift" in done.err + done.out
    assert "First build, of 20 records" in done.err + done.out
    (written,) = Path("p").rglob("*_swift_train.jsonl")
    assert all('"bbox":[[' in line for line in written.read_text("utf-8").splitlines())
