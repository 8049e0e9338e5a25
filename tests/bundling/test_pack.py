"""A bundle: one build, the same bytes; pictures at training size; checksums that notice a change."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.packed import PackedData
from datakit.bundling.archive import Writer, is_bundle
from datakit.bundling.images import at_training_size
from datakit.bundling.light import carried
from datakit.bundling.pack import SUMS, bundle
from datakit.cli import run
from datakit.core.errors import UserError
from datakit.core.pixels import TrainerLimits, trainer_size
from datakit.handoff.bundle_settings import BundleSettings
from datakit.handoff.doctor import examine_files
from datakit.handoff.finding import FAULT
from datakit.serving.images import TrainedView

Make = Callable[..., Path]
VIEW = TrainedView(None, TrainerLimits())


def unpacked(build: Path, folder: Path) -> Path:
    archive = folder / "it.tar"
    made = bundle(build, archive)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / made.starts_with


def faults(folder: Path) -> list[str]:
    """What the doctor of a bundle says of its files."""
    settings = BundleSettings.of(folder, {}, {})
    return [finding.message for finding in examine_files(settings) if finding.state == FAULT]


def test_same_build_gives_the_same_bytes(make_build: Make, tmp_path: Path) -> None:
    build = make_build()
    first, second = bundle(build, tmp_path / "a.tar"), bundle(build, tmp_path / "b.tar")
    assert first.sha256 == second.sha256
    zipped = [bundle(build, tmp_path / name).sha256 for name in ("a.tar.gz", "b.tar.gz")]
    assert zipped[0] == zipped[1] != first.sha256
    assert first.sha256 == hashlib.sha256((tmp_path / "a.tar").read_bytes()).hexdigest()


@pytest.mark.fault(
    "a bundle is unpacked elsewhere",
    "it writes into its own folder alone, and names no owner",
    kind="folders",
)
def test_archive_names_no_owner_no_time_and_only_its_own_folder(make_build: Make, tmp_path: Path) -> None:
    bundle(make_build(), tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        entries = tar.getmembers()
    assert {(entry.uid, entry.uname, entry.mtime) for entry in entries} == {(0, "", 315_532_800)}
    assert {entry.name.split("/")[0] for entry in entries} == {"screens-bundle"}
    assert all(entry.isfile() for entry in entries)


def as_the_trainer_reads(path: Path, limits: TrainerLimits) -> bytes:
    """The pixels that LLaMA-Factory's own first resize makes of a file."""
    with Image.open(path) as image:
        size = trainer_size(*image.size, limits)
        return (image if size == image.size else image.resize(size)).convert("RGB").tobytes()


def test_pictures_have_the_pixels_that_the_trainers_first_resize_makes(
    make_build: Make, tmp_path: Path
) -> None:
    build = make_build(image_max_pixels=50_176)
    folder = unpacked(build, tmp_path)
    limits = TrainerLimits(50_176, 1_024)
    paths = sorted((build / "images").iterdir())
    assert paths
    for path in paths:
        there = folder / "screens" / "images" / path.name
        assert as_the_trainer_reads(there, limits) == as_the_trainer_reads(path, limits)
        with Image.open(there) as after:
            assert trainer_size(*after.size, limits) == after.size  # nothing is left to do
        assert there.stat().st_size < path.stat().st_size


def test_small_pictures_are_packed_byte_for_byte(tmp_path: Path) -> None:
    for size in ((300, 300), (10, 10), (2000, 28)):
        Image.new("RGB", size).save(tmp_path / "it.png")
        assert at_training_size(tmp_path / "it.png", VIEW) is None


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_large_pictures_become_smaller_files_without_a_loss(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"it.{suffix}"
    noise = Image.effect_noise((1080, 2340), 40).convert("RGB")
    noise.save(path, quality=100, lossless=True)
    made = at_training_size(path, VIEW)
    assert made is not None
    assert len(made) < path.stat().st_size
    (tmp_path / "new").write_bytes(made)
    assert as_the_trainer_reads(tmp_path / "new", VIEW.trainer) == as_the_trainer_reads(path, VIEW.trainer)


def test_picture_that_would_be_a_larger_file_is_packed_as_it_is(tmp_path: Path) -> None:
    noise = Image.effect_noise((1080, 2340), 40).convert("RGB")
    noise.save(tmp_path / "it.jpg", quality=5)
    assert at_training_size(tmp_path / "it.jpg", VIEW) is None


def test_whole_bundle_has_no_fault(make_build: Make, tmp_path: Path) -> None:
    assert faults(unpacked(make_build(), tmp_path)) == []


@pytest.mark.fault("files of a bundle are changed or missing", "its check names them", kind="folders")
def test_check_names_changed_and_missing_files(make_build: Make, tmp_path: Path) -> None:
    folder = unpacked(make_build(), tmp_path)
    (folder / "screens" / "train.yaml").write_text("bf16: false\n")
    picture = next((folder / "screens" / "images").iterdir())
    picture.unlink()
    wrong = faults(folder)
    assert "screens/train.yaml was changed since the bundle was packed" in wrong
    assert f"screens/images/{picture.name} is missing" in wrong
    assert len(wrong) == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"files": 3}'])
def test_damaged_files_are_faults_and_no_traceback(make_build: Make, tmp_path: Path, text: str) -> None:
    folder = unpacked(make_build(), tmp_path)
    emitted = folder / "screens" / "emitted.json"
    emitted.write_text(text)
    assert faults(folder) == ["screens/emitted.json was changed since the bundle was packed"]
    digest = hashlib.sha256(text.encode()).hexdigest()
    sums = (folder / SUMS).read_text().splitlines()
    kept = [line for line in sums if not line.endswith("screens/emitted.json")]
    (folder / SUMS).write_text("\n".join([*kept, f"{digest}  screens/emitted.json"]) + "\n")
    (fault,) = faults(folder)
    assert "its rows cannot be read" in fault


def test_checksums_are_those_that_sha256sum_reads(make_build: Make, tmp_path: Path) -> None:
    folder = unpacked(make_build(), tmp_path)
    done = subprocess.run(["sha256sum", "-c", "--quiet", SUMS], cwd=folder, check=False)
    assert done.returncode == 0
    listed = {line.split("  ", 1)[1] for line in (folder / SUMS).read_text().splitlines()}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert present - listed == {SUMS}


def test_labels_truths_and_answer_form_come_along_for_predict(make_build: Make, tmp_path: Path) -> None:
    build = make_build()
    folder = unpacked(build, tmp_path) / "screens"
    data = PackedData(folder)
    labels = BuildFolder(build).labels
    assert data.labels is not None
    assert labels is not None
    assert data.labels.labels == labels.labels
    assert data.answer_format.turns[-1].variables == ("label",)
    assert [row[1:] for row in data.packed.records] == [
        list(row) for row in BuildFolder(build).main.select("id", "label").collect().rows()
    ]
    assert data.packed.answer_tokens >= 16
    assert data.packed.prompt_tokens > 100


def test_datakits_own_code_comes_along(make_build: Make, tmp_path: Path) -> None:
    folder = unpacked(make_build(), tmp_path)
    for name, file in carried().items():
        assert (folder / name).read_bytes() == file.read_bytes()
    assert len(carried()) > 60


def test_scripts_come_along_as_they_are_and_may_be_executed(make_build: Make, tmp_path: Path) -> None:
    folder = unpacked(make_build(), tmp_path)
    payload = Path(bundle.__code__.co_filename).parent / "payload"
    scripts = [path for path in payload.iterdir() if path.is_file()]
    assert {"run.sh", "handoff.py", "predict.py", "evaluate.py"} <= {path.name for path in scripts}
    for path in scripts:
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert all(os.access(path, os.X_OK) for path in folder.glob("*.sh"))


def test_changed_build_is_refused(make_build: Make, tmp_path: Path) -> None:
    build = make_build()
    with open(build / "screens_train.json", "ab") as file:
        file.write(b" ")
    with pytest.raises(UserError, match=r"screens_train\.json was changed"):
        bundle(build, tmp_path / "a.tar")
    (build / "screens_train.json").unlink()
    with pytest.raises(UserError, match=r"screens_train\.json is missing"):
        bundle(build, tmp_path / "a.tar")
    assert not list(tmp_path.glob("*.tar*"))


def test_folder_that_is_no_build_is_refused_and_names_are_checked(
    make_build: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bundle", str(tmp_path / "no"), "-o", str(tmp_path / "a.tar")]) == 2
    assert "there is no build" in capsys.readouterr().err
    assert run(["bundle", str(make_build()), "-o", str(tmp_path / "a.zip")]) == 2
    assert "End it with .tar" in capsys.readouterr().err


def test_command_prints_what_it_packed(
    make_build: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bundle", str(make_build()), "-o", str(tmp_path / "a.tar"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["pictures"], made["starts_with"]) == (8, "screens-bundle")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//x", "a\\..\\x", "./x", "a\x1bx", ""])
def test_a_name_that_would_be_unpacked_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with Writer(tmp_path / "a.tar", "it") as writer, pytest.raises(UserError, match="cannot stand in"):
        writer.add(name, b"")


def _archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.fault(
    "an archive of somebody else's has links, devices or a thousandfold content",
    "it is not taken for a bundle and not unpacked",
    kind="bounds",
)
def test_archives_of_others_are_no_bundles_and_are_read_within_bounds(tmp_path: Path) -> None:
    sums = (tarfile.TarInfo("it/SHA256SUMS"), b"0  x\n")
    plain = (tarfile.TarInfo("it/x"), b"1")
    assert is_bundle(_archive(tmp_path / "fine.tar", plain, sums))
    link = tarfile.TarInfo("it/x")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("it/x")
    device.type = tarfile.CHRTYPE
    assert not is_bundle(_archive(tmp_path / "link.tar", (link, b""), sums))
    assert not is_bundle(_archive(tmp_path / "device.tar", (device, b""), sums))
    assert not is_bundle(_archive(tmp_path / "twice.tar", plain, plain, sums))
    assert not is_bundle(_archive(tmp_path / "outside.tar", (tarfile.TarInfo("../x"), b"1"), sums))
    assert not is_bundle(_archive(tmp_path / "bomb.tar.gz", (tarfile.TarInfo("it/x"), bytes(1 << 28)), sums))
