"""Sign-off: who signed which data, and what refuses a build that nobody signed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.changed_files import changed_files
from datakit.artifacts.signoff import read_signoffs, require_signoff, sign, signoff_file
from datakit.cards.current import write_current_card
from datakit.cli import run
from datakit.core.errors import UserError
from datakit.library import build
from tests.support.fake_trainer import calls, write_base
from tests.support.task_builds import project as write_tasks
from tests.support.train_builds import RECIPE, write_first

Make = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build whose recipe wants it signed."""
    project = tmp_path_factory.mktemp("project")
    write_base(project / "recipes" / "base")
    recipe = project / "recipes" / "screens.yaml"
    text = RECIPE.replace("max_reject_rate: 1.0", "max_reject_rate: 1.0, require_signoff: true")
    recipe.write_text(text % "{model: ./base, method: lora}", "utf-8")
    write_first(project, 8)
    return build(recipe, card=False).folder


@pytest.fixture
def guarded(built: Path, tmp_path: Path) -> Path:
    """The same in a project of its own."""
    write_base(tmp_path / "base")
    shutil.copytree(built, tmp_path / "build" / "screens")
    return tmp_path / "build" / "screens"


def data_file(build: Path) -> Path:
    return build / sorted(BuildFolder(build).manifest.records)[0]


def test_card_says_who_signed_this_data(guarded: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = BuildFolder(guarded)
    content = folder.manifest.content
    [page, _, *_] = write_current_card(guarded, tmp_path / "data_cards")
    assert "签署。" not in page.read_text("utf-8")
    assert run(["signoff", str(guarded), "--name", "李 | 雷"]) == 0
    assert "screens.md" in capsys.readouterr().out
    assert "- 李 \\| 雷 已于 " in page.read_text("utf-8")
    assert (BuildFolder(guarded).manifest.content, changed_files(folder)) == (content, {})
    page.write_text("mine", "utf-8")  # what somebody edited stays as it is
    assert run(["signoff", str(guarded), "--name", "李雷"]) == 0
    assert page.read_text("utf-8") == "mine"


@pytest.mark.fault(
    "a build that nobody signed is trained, though its recipe wants a signature",
    "train, handoff and bundle refuse it before anything starts, and say how to sign",
    kind="inputs changed",
)
def test_unsigned_build_is_neither_trained_nor_packed(
    guarded: Path, trainer: Path, capsys: Captured, tmp_path: Path
) -> None:
    for words in (
        ["train", str(guarded), "--cpu"],
        ["handoff", str(guarded), "--cpu", "--only", "train"],
        ["bundle", str(guarded), "-o", str(tmp_path / "b.tar")],
    ):
        assert run(words) == 2
        error = capsys.readouterr().err
        assert "nobody has signed it" in error
        assert f"datakit signoff {guarded} --name NAME" in error
    assert calls(trainer.parent) == []
    assert not (tmp_path / "b.tar").exists()


def test_signed_build_is_trained_and_packed(
    guarded: Path, trainer: Path, capsys: Captured, tmp_path: Path
) -> None:
    assert run(["signoff", str(guarded)]) == 1
    assert run(["signoff", str(guarded), "--name", "王芳"]) == 0
    assert "Signed by 王芳" in capsys.readouterr().out
    assert run(["train", str(guarded), "--cpu"]) == 0
    assert run(["bundle", str(guarded), "-o", str(tmp_path / "b.tar")]) == 0
    (line,) = signoff_file(BuildFolder(guarded)).read_text("utf-8").splitlines()
    row = json.loads(line)
    assert (row["name"], row["build"]) == ("王芳", "screens")
    assert row["content"] == BuildFolder(guarded).manifest.content


@pytest.mark.fault(
    "the signature of a build is taken back after its model was trained",
    "serve and handoff refuse to serve the model, and say how to sign",
    kind="inputs changed",
)
def test_model_of_a_build_that_is_unsigned_again_is_not_served(
    guarded: Path, trainer: Path, capsys: Captured
) -> None:
    sign(BuildFolder(guarded), "王芳")
    assert run(["handoff", str(guarded), "--cpu", "--only", "train", "--only", "export"]) == 0
    signoff_file(BuildFolder(guarded)).unlink()
    capsys.readouterr()
    for words in (
        ["serve", str(guarded), "--cpu", "--check-only"],
        ["handoff", str(guarded), "--cpu", "--only", "serve"],
        ["handoff", str(guarded), "--cpu", "--only", "predict"],
    ):
        assert run([*words, "--vllm", "false"]) == 2
        error = capsys.readouterr().err
        assert "nobody has signed it" in error
        assert f"datakit signoff {guarded} --name NAME" in error


def test_build_without_the_setting_needs_no_signature(make_build: Make) -> None:
    require_signoff(BuildFolder(make_build()))


@pytest.mark.fault(
    "a build is changed after it was signed off",
    "it is unsigned again; the refusal names the file, or who signed other data",
    kind="inputs changed",
)
def test_changed_data_is_unsigned_again(guarded: Path) -> None:
    sign(BuildFolder(guarded), "王芳")
    path = data_file(guarded)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(UserError, match=f"since the build {path.name} was changed"):
        require_signoff(BuildFolder(guarded))
    with pytest.raises(UserError, match="is not as it was built"):
        sign(BuildFolder(guarded), "李雷")


def replace_picture(build: Path) -> str:
    """Another picture of the same size in bytes in the place of one."""
    path = sorted(path for path in (build / "images").rglob("*") if path.is_file())[0]
    data = path.read_bytes()
    path.unlink()  # a hard link leads to the source
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return f"images/{path.name} was changed"


def point_elsewhere(build: Path) -> str:
    path = build / "dataset_info.json"
    (build / "evil.json").write_text("[]")
    path.write_text(
        path.read_text("utf-8").replace("train.json", "evil.json").replace("_train", "_evil") + "\n"
    )
    return "dataset_info.json was changed"


def replace_labels(build: Path) -> str:
    path = build / "records.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(label=pl.lit("x")).write_parquet(path)
    return "records.parquet was changed"


def edit_settings(build: Path) -> str:
    path = build / "train.yaml"
    path.write_text(path.read_text("utf-8") + "# edited\n", "utf-8")
    return "train.yaml was changed"


@pytest.mark.fault(
    "pictures, records, the trainer's index or its settings are changed after a build was signed off",
    "it is unsigned; signoff, train, handoff and bundle name the file, and nobody can sign it",
    kind="inputs changed",
)
@pytest.mark.parametrize("edit", [replace_picture, point_elsewhere, replace_labels, edit_settings])
def test_any_changed_file_of_the_build_is_unsigned_again(
    guarded: Path, trainer: Path, tmp_path: Path, capsys: Captured, edit: Callable[[Path], str]
) -> None:
    sign(BuildFolder(guarded), "王芳")
    told = edit(guarded)
    assert run(["signoff", str(guarded)]) == 1
    assert told in capsys.readouterr().out
    for words in (
        ["signoff", str(guarded), "--name", "李雷"],
        ["train", str(guarded), "--cpu"],
        ["handoff", str(guarded), "--cpu", "--only", "train"],
        ["bundle", str(guarded), "-o", str(tmp_path / "b.tar")],
    ):
        assert run(words) == 2
        assert told in capsys.readouterr().err
    assert calls(trainer.parent) == []
    assert len(read_signoffs(BuildFolder(guarded)).signed) == 1


def test_copied_build_with_other_times_stays_signed(guarded: Path) -> None:
    sign(BuildFolder(guarded), "王芳")
    for path in guarded.rglob("*"):
        path.touch()
    require_signoff(BuildFolder(guarded))


def test_signature_under_other_data_does_not_count(guarded: Path) -> None:
    sign(BuildFolder(guarded), "王芳")
    manifest = guarded / "manifest.json"
    content = BuildFolder(guarded).manifest.content
    manifest.write_text(manifest.read_text("utf-8").replace(content, "0" * 64), "utf-8")
    with pytest.raises(UserError, match="王芳 signed another build of screens"):
        require_signoff(BuildFolder(guarded))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text.replace("王芳", "李雷"), "line 1 was edited by hand"),
        (lambda text: "{\n", "line 1 is no signature"),
        (lambda text: text.replace('"screens"', '"other"'), "line 1 was edited by hand"),
    ],
)
def test_lines_edited_by_hand_count_for_nothing_and_are_told(
    guarded: Path, edit: Callable[[str], str], words: str
) -> None:
    sign(BuildFolder(guarded), "王芳")
    path = signoff_file(BuildFolder(guarded))
    path.write_text(edit(path.read_text("utf-8")), "utf-8")
    with pytest.raises(UserError, match=words):
        require_signoff(BuildFolder(guarded))


def test_second_signature_joins_the_first_behind_a_line_without_an_end(guarded: Path) -> None:
    folder = BuildFolder(guarded)
    sign(folder, "王芳")
    path = signoff_file(folder)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    sign(folder, "李雷")
    assert [one.name for one in read_signoffs(folder).signed] == ["王芳", "李雷"]


def test_who_has_signed_this_data_is_told_so_and_signs_it_once(guarded: Path, capsys: Captured) -> None:
    for name in ("李雷", " 李雷 ", "韩梅梅"):
        assert run(["signoff", str(guarded), "--name", name]) == 0
        assert ("李雷 has signed this data already, on " in capsys.readouterr().err) == (name == " 李雷 ")
    assert [one.name for one in read_signoffs(BuildFolder(guarded)).signed] == ["李雷", "韩梅梅"]


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[31m"])
def test_name_that_is_none_is_refused(guarded: Path, name: str, capsys: Captured) -> None:
    assert run(["signoff", str(guarded), "--name", name]) == 2
    assert "--name" in capsys.readouterr().err


def test_task_of_a_build_is_not_signed_alone(tmp_path: Path, capsys: Captured) -> None:
    whole = build(write_tasks(tmp_path / "p"), card=False).folder
    task = BuildFolder(whole).tasks[0].path
    assert run(["signoff", str(task), "--name", "Wang Fang"]) == 2
    said = capsys.readouterr().err
    assert "trained on and signed as a whole" in said
    assert f"datakit signoff {whole}" in said
    assert not list(tmp_path.rglob("*.signoff.jsonl"))
