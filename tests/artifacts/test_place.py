"""A build takes the place of nothing but a signed build, and keeps what a person put into that."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from datakit.artifacts.place import MARK, BuildPlace, read_signed, strangers
from datakit.core.errors import Exit, UserError
from datakit.core.exchange import exchange
from datakit.core.replacing import seal
from datakit.recipe.recipe import Recipe
from datakit.run.build import BuildResult, Options, build
from tests.support.number_recipes import recipe

Make = Callable[..., BuildResult]


def kept_of(result: BuildResult) -> Path | None:
    """Where the files lie that somebody had put into the build before."""
    return result.kept.get(result.folder)


def contents(folder: Path) -> dict[str, bytes | str]:
    """Every file and link below a folder."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def precious(folder: Path) -> dict[str, bytes | str]:
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "a.jpg").write_bytes(b"picture")
    (folder / "thesis.md").write_text("years of work")
    return contents(folder)


OTHERS_MANIFESTS = {
    "of another tool": {"name": "app", "version": "1.0", "manifest_version": 3},
    "empty": {},
    "a list": [1, 2],
    "half like datakit's": {"datakit": "0.1.0", "name": "toy", "artifacts": {}, "content": ""},
    "with artifacts of another tool": {"artifacts": {"report.json": {}, "records.parquet": {}}},
}


@pytest.mark.parametrize("manifest", OTHERS_MANIFESTS.values(), ids=OTHERS_MANIFESTS)
@pytest.mark.parametrize("also", ["", "records.parquet", "report.json"])
def test_folder_with_another_manifest_is_left_as_it_is(project: Path, manifest: object, also: str) -> None:
    place = project / "precious"
    precious(place)
    (place / "manifest.json").write_text(json.dumps(manifest))
    if also:
        (place / also).write_bytes(b"mine")
    before = contents(place)
    with pytest.raises(UserError, match="would take its place") as error:
        build(recipe(project), Options(out=place))
    assert error.value.exit_code == Exit.USAGE
    assert contents(place) == before


@pytest.mark.parametrize("name", ["records.parquet", "report.json", "data.csv"])
def test_folder_without_a_manifest_is_left_as_it_is(project: Path, name: str) -> None:
    place = project / "precious"
    place.mkdir()
    (place / name).write_bytes(b"mine")
    with pytest.raises(UserError, match="it has no manifest"):
        build(recipe(project), Options(out=place))
    assert contents(place) == {name: b"mine"}


@pytest.mark.parametrize("path", ["missing/../precious", "./missing/x/../../precious", "build/../precious/."])
def test_path_is_normalised_before_it_is_checked(project: Path, path: str) -> None:
    before = precious(project / "precious")
    with pytest.raises(UserError, match="would take its place"):
        build(recipe(project), Options(out=project / path))
    assert contents(project / "precious") == before
    assert not (project / "missing").exists()


@pytest.mark.fault(
    "the build's place is a link to a folder of the user's",
    "link and folder are left as they are",
    kind="folders",
)
def test_link_to_a_folder_is_left_with_all_that_it_leads_to(project: Path) -> None:
    before = precious(project / "precious")
    (project / "link").symlink_to("precious")
    with pytest.raises(UserError, match="would take its place"):
        build(recipe(project), Options(out=project / "link"))
    assert (project / "link").is_symlink()
    assert contents(project / "precious") == before


def test_link_to_a_build_goes_on_leading_to_the_new_build(project: Path) -> None:
    build(recipe(project), Options(out=project / "disk" / "toy"))
    (project / "link").symlink_to("disk/toy")
    made = build(recipe(project, count=5), Options(out=project / "link"))
    assert made.folder == project / "disk" / "toy"
    assert (project / "link").is_symlink()
    assert (project / "link" / "ids.txt").read_text().count("n") == 5


def test_link_that_leads_to_itself_is_told(project: Path) -> None:
    (project / "loop").symlink_to("loop")
    with pytest.raises(UserError, match="loop"):
        build(recipe(project), Options(out=project / "loop"))
    assert (project / "loop").is_symlink()


@pytest.mark.fault(
    "a person put files into a build, which is built again",
    "they are moved aside, and the place is told",
    kind="folders",
)
def test_files_that_a_person_put_into_a_build_are_moved_aside(project: Path) -> None:
    place = build(recipe(project)).folder
    (place / "notes.md").write_text("read this")
    (place / "runs" / "a").mkdir(parents=True)
    (place / "runs" / "a" / "predictions.jsonl").write_text("{}")
    (place / "runs" / "empty").mkdir()
    (place / "ids.txt").write_text("edited by hand")
    (place / "shortcut").symlink_to("/etc")
    made = build(recipe(project, count=4))
    kept = kept_of(made)
    assert kept is not None
    assert kept.parent == project / "build" / "toy.kept"
    assert contents(kept) == {
        "notes.md": b"read this",
        "runs/a/predictions.jsonl": b"{}",
        "ids.txt": b"edited by hand",
        "shortcut": "/etc",
    }
    assert (kept / "runs" / "empty").is_dir()
    assert made.folder == place
    assert (place / "ids.txt").read_text().count("n") == 4
    assert strangers(place) == []


def test_two_builds_within_a_second_keep_both_lots(project: Path) -> None:
    place = build(recipe(project)).folder
    kept = []
    for count in (4, 5, 6):
        (place / "notes.md").write_text(f"note {count}")
        kept.append(kept_of(build(recipe(project, count=count))))
    assert [path and (path / "notes.md").read_text() for path in kept] == ["note 4", "note 5", "note 6"]


def test_untouched_build_is_replaced_without_a_word(project: Path) -> None:
    place = build(recipe(project)).folder
    for path in place.rglob("*"):  # a copy or a checkout has other times and the same bytes
        os.utime(path)
    assert kept_of(build(recipe(project, count=4))) is None
    assert sorted(path.name for path in (project / "build").iterdir()) == [".toy.lock", "toy"]


def test_build_of_the_first_version_is_a_build_though_it_is_unsigned(project: Path) -> None:
    place = build(recipe(project)).folder
    manifest = json.loads((place / "manifest.json").read_bytes())
    assert (manifest.pop("made_by"), manifest.pop("version")) == ("datakit build", 1)
    (place / "manifest.json").write_text(json.dumps(manifest))
    assert read_signed(place) is not None
    made = build(recipe(project, count=4))
    assert (made.folder / "ids.txt").read_text().count("n") == 4
    assert kept_of(made) is None


@pytest.mark.parametrize("what", ["store", "recipe", "project"])
def test_build_does_not_take_the_place_of_what_it_needs(project: Path, what: str) -> None:
    place = build(recipe(project), Options(out=project / "x" / "toy")).folder
    it = recipe(project, count=4, store=str(place / "store") if what == "store" else None)
    if what == "recipe":
        it = Recipe(**{**vars(it), "path": place / "r.yaml"})
    if what == "project":
        (place / "recipes").mkdir()
        it = Recipe(**{**vars(it), "path": place / "recipes" / "r.yaml"})
    before = contents(place)
    with pytest.raises(UserError, match="would take its place"):
        build(it, Options(out=place))
    assert contents(place) == before


@pytest.mark.parametrize("what", ["work", "failed", "old"])
def test_hidden_neighbour_that_is_not_datakits_is_set_aside(project: Path, what: str) -> None:
    place = build(recipe(project)).folder
    hidden = place.parent / f".toy.{what}"
    (hidden / "out").mkdir(parents=True)
    (hidden / "report.json").write_text("mine")
    (hidden / "thesis.md").write_text("years of work")
    build(recipe(project, count=4))
    (found,) = place.parent.rglob("thesis.md")
    assert found.read_text() == "years of work"
    assert ".kept-" in found.parent.name


@pytest.mark.fault(
    "a run is killed while the builds change places",
    "the next command puts the last good build back",
    kind="folders",
)
def test_build_that_was_taken_away_when_a_run_was_killed_is_put_back(project: Path) -> None:
    place = build(recipe(project)).folder
    (place / MARK).touch()
    os.rename(place, place.parent / ".toy.old")  # as a kill between the two renames leaves it
    assert build(recipe(project)).report.reused
    assert place.is_dir()
    assert not (place / MARK).exists()


def test_copy_of_a_build_under_a_hidden_name_is_kept(project: Path) -> None:
    place = build(recipe(project)).folder
    shutil.copytree(place, place.parent / ".toy.old")
    before = contents(place)
    build(recipe(project, count=4))
    (kept,) = place.parent.glob(".toy.kept-*.old")
    assert contents(kept) == before


PAGES = ["card/toy.md", "card/toy.html", "card/toy/my-plot.svg", "card/toy/classes.svg"]


@pytest.mark.parametrize("name", PAGES)
def test_pages_of_a_person_in_the_cards_folder_are_kept(project: Path, name: str) -> None:
    place = build(recipe(project)).folder
    path = place / name
    path.parent.mkdir(parents=True)
    path.write_text("<svg>mine</svg>")
    made = build(recipe(project, count=4))
    assert kept_of(made) is not None
    assert (kept_of(made) / name).read_text() == "<svg>mine</svg>"


def test_card_that_datakit_wrote_is_kept_only_when_it_was_edited(project: Path) -> None:
    for count, more in ((3, ""), (4, "looks good to me\n")):
        path = build(recipe(project, count)).folder / "card" / "toy.md"
        path.parent.mkdir()
        path.write_text(seal("# toy\n") + more)
        assert (kept_of(build(recipe(project, count=count + 10))) is not None) == bool(more)


def test_edited_files_that_are_linked_to_each_other_are_kept(project: Path) -> None:
    place = build(recipe(project)).folder
    (place / "ids.txt").write_text("edited")
    (place / "report.json").unlink()
    os.link(place / "ids.txt", place / "report.json")
    kept = kept_of(build(recipe(project, count=4)))
    assert kept is not None
    assert contents(kept) == {"ids.txt": b"edited", "report.json": b"edited"}


@pytest.mark.fault("a pipe stands where a build has a file", "the build does not wait for it", kind="bounds")
def test_pipe_in_the_place_of_a_file_does_not_hold_the_build_up(project: Path) -> None:
    place = build(recipe(project)).folder
    (place / "rejects.jsonl").unlink()
    os.mkfifo(place / "rejects.jsonl")
    kept = kept_of(build(recipe(project, count=4)))
    assert kept is not None
    assert stat.S_ISFIFO((kept / "rejects.jsonl").stat().st_mode)


@pytest.mark.fault("files are written into a build while it is replaced", "they are kept", kind="folders")
def test_files_written_while_the_build_is_replaced_are_kept(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = build(recipe(project)).folder

    def slow(new: Path, old: Path) -> bool:
        (place / "late.txt").write_text("just in time")
        return exchange(new, old)

    monkeypatch.setattr("datakit.artifacts.place.exchange", slow)
    kept = kept_of(build(recipe(project, count=4)))
    assert kept is not None
    assert contents(kept) == {"late.txt": b"just in time"}


def test_build_whose_sources_are_gone_is_kept_as_a_whole(project: Path) -> None:
    place = build(recipe(project)).folder
    manifest = json.loads((place / "manifest.json").read_bytes())
    stamp = {"bytes": 1, "mtime_ns": 1, "sha256": ""}
    manifest["sources"] = {"/nowhere/train.jsonl": stamp}  # as of a colleague's machine
    (place / "manifest.json").write_text(json.dumps(manifest))
    before = contents(place)
    kept = kept_of(build(recipe(project, count=4)))
    assert kept is not None
    assert contents(kept) == before


def test_place_of_a_file_is_refused(project: Path) -> None:
    (project / "x").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        BuildPlace(project / "x").check({})


@pytest.mark.fault("a build holds the only copy of its pictures", "the copy is kept", kind="folders")
def test_pictures_that_exist_nowhere_else_are_kept(project: Path) -> None:
    place = build(recipe(project)).folder
    images = place / "images"
    images.mkdir()
    (images / "a.jpg").write_bytes(b"the only copy")
    manifest = json.loads((place / "manifest.json").read_bytes())
    status = (images / "a.jpg").stat()
    stamp = {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": ""}
    manifest["artifacts"]["images/a.jpg"] = stamp  # as an emitter had put it there
    (place / "manifest.json").write_text(json.dumps(manifest))
    pl.DataFrame({"path": [str(project / "gone.jpg")]}).write_parquet(place / "inputs.parquet")
    kept = kept_of(build(recipe(project, count=4)))
    assert kept is not None
    assert (kept / "images" / "a.jpg").read_bytes() == b"the only copy"


def test_notes_beside_the_rejects_of_a_failed_build_are_kept(project: Path) -> None:
    failed = BuildPlace(project / "build" / "toy").make("failed")
    (failed / "notes.md").write_text("what went wrong")
    build(recipe(project))
    (found,) = (project / "build").rglob("notes.md")
    assert found.read_text() == "what went wrong"
