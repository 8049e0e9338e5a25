"""Packs a build into one tar: data, pictures at training size, configuration, stages and checksums."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from itertools import islice
from pathlib import Path

import orjson
from pydantic import BaseModel

import datakit
from datakit.artifacts import names
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.changed_files import changed_files, shown_changes
from datakit.artifacts.manifest import Manifest
from datakit.artifacts.needs import Needs
from datakit.artifacts.signoff import require_signoff
from datakit.bundling import light
from datakit.bundling.archive import Writer, is_bundle
from datakit.bundling.images import at_training_size
from datakit.bundling.needs import needs_of
from datakit.bundling.packed import packed_of
from datakit.bundling.serving import serve_script
from datakit.bundling.start_here import start_here
from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular, regular
from datakit.core.replacing import check_replaceable
from datakit.handoff.doctor import SUMS
from datakit.serving.images import TrainedView
from datakit.serving.requirements import NEED, trainer_limits
from datakit.training.run_folder import RunFolder

START_HERE = "START_HERE.md"
_PAYLOAD = ("run.sh", "handoff.py", "predict.py", "evaluate.py")
_KEPT = (
    names.ANSWER_FORMAT,
    names.EMITTED,
    names.DATASET_INFO,
    names.RECIPE,
    names.REPORT,
    names.SERVING,
    names.ASK_PYTHON,
    names.ASK_SCRIPT,
)
_AT_ONCE = 64


class Bundle(BaseModel):
    """An archive that was written."""

    path: str
    bytes: int
    sha256: str
    files: int
    pictures: int
    resized: int
    """Pictures that were larger than the training takes, and are smaller files now."""
    starts_with: str
    """The folder inside."""


def bundle(build: Path, out: Path) -> Bundle:
    """Writes the archive `out` (.tar, or .tar.gz) of a build; whole or not at all.

    Pictures over the trainer's limit are made as small as its first resize would make them, without a loss
    and where that makes the file smaller, so that training and asking see the very pixels of the build;
    answers with boxes stay right, because boxes count in the pixels after both resizes.
    Raises UserError for a folder that is no build, was changed since, or misses a file, and where `out` is
    a file of another kind; and where its recipe wants it signed off, and nobody has.
    """
    run, manifest = packable(build)
    return written(out, f"{manifest.name}-bundle", lambda writer: fill(writer, run, manifest))


def packable(build: Path) -> tuple[RunFolder, Manifest]:
    """A build that can be packed. Raises UserError for one that cannot, as `bundle` does."""
    run = RunFolder.of(build)
    manifest = run.build.find_manifest()
    if manifest is None:
        raise UserError(f"{build} is no finished build", remedy="Make it: datakit build recipes/<name>.yaml")
    if run.build.tasks:
        first, *others = [task.path.name for task in run.build.tasks]
        raise UserError(
            f"{build} has {len(others) + 1} tasks, and a bundle asks and scores one",
            remedy=f"Where datakit is installed, `datakit handoff {build} --task {first}` trains one model "
            f"of all tasks and asks about {first}; the same with --task {', '.join(others) or first} then "
            "finds the model trained.",
        )
    _check_whole(run.build)
    require_signoff(run.build)
    return run, manifest


def written(out: Path, top: str, fill_it: Callable[[Writer], object], *, links: bool = False) -> Bundle:
    """The archive `out` with the folder `top`, whole or not at all; with `links` equal files are one.

    Raises UserError where `out` is a file of another kind.
    """
    check_replaceable(out, "a bundle as datakit packed it", is_bundle)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.part")
    try:
        writer = Writer(draft, top, links=links)
        with writer:
            fill_it(writer)
        os.replace(draft, out)
    finally:
        draft.unlink(missing_ok=True)
    with open(out, "rb", opener=regular) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Bundle(
        path=str(out),
        bytes=out.stat().st_size,
        sha256=sha256,
        files=len(writer.sums) + 1,
        pictures=writer.pictures,
        resized=writer.resized,
        starts_with=writer.top,
    )


def fill(writer: Writer, run: RunFolder, manifest: Manifest, inside: str = "") -> Needs:
    """Adds the bundle of a build in the archive's own folder, or in the folder `inside` (`NAME/`) of it.

    What its machine needs comes back.
    """
    name, build = manifest.name, run.build
    wanted = [names.TRAINING, names.EXPORT, *build.entries.values()]
    wanted += [kept_name for kept_name in _KEPT if (build.path / kept_name).is_file()]
    if run.keys.get("deepspeed"):
        wanted.append(str(run.keys["deepspeed"]))
    contents: dict[str, bytes | Path] = {f"{name}/{file}": build.path / file for file in set(wanted)}
    if build.labels is not None:
        contents[f"{name}/{names.LABEL_SET}"] = build.labels.to_json()
    needs = needs_of(run)
    contents[f"{name}/{names.PACKED}"] = packed_of(build).model_copy(update={"needs": needs}).to_line()
    contents.update(light.carried())
    for file in _PAYLOAD:
        contents[file] = (files("datakit.bundling") / "payload" / file).read_bytes()
    contents[names.SERVE_SCRIPT] = serve_script(run, name)
    contents["bundle.json"] = _about(manifest)
    pictures = [f"{name}/images/{path.name}" for path in build.images_folder.glob("*")]
    listed = [*contents, *pictures, START_HERE, SUMS]
    contents[START_HERE] = start_here(name, f"{writer.top}/{inside}".rstrip("/"), needs, listed).encode()
    for path in sorted(contents):
        content = contents[path]
        writer.add(f"{inside}{path}", read_regular(content) if isinstance(content, Path) else content)
    view = TrainedView(build.emitted_for(NEED).image_max_pixels, trainer_limits(build))
    _add_pictures(writer, build, f"{inside}{name}/images", view)
    writer.add_sums(inside)
    return needs


def _add_pictures(writer: Writer, build: BuildFolder, target: str, view: TrainedView) -> None:
    """Some at a time, in order: Pillow works without the interpreter's lock, and memory stays bounded."""
    waiting = iter(sorted(build.images_folder.glob("*")))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while paths := list(islice(waiting, _AT_ONCE)):
            shown = pool.map(lambda path: _shown(writer, path, view), paths)
            for path, (mark, content, is_smaller) in zip(paths, shown, strict=True):
                writer.pictures += 1
                writer.resized += is_smaller
                writer.add_picture(f"{target}/{path.name}", mark, content)


def _shown(writer: Writer, path: Path, view: TrainedView) -> tuple[str, bytes | None, bool]:
    """What tells a picture and its view apart, its content, and whether it is smaller than the file.

    No content for one that stands in the archive already.
    """
    content = read_regular(path)
    mark = f"{hashlib.sha256(content).hexdigest()} {view}"
    if mark in writer.shown:
        return mark, None, False
    smaller = at_training_size(path, view)
    return mark, content if smaller is None else smaller, smaller is not None


def _about(manifest: Manifest) -> bytes:
    about = {
        "name": manifest.name,
        "datakit": datakit.__version__,
        "content": manifest.content,
        "records": manifest.records,
        "start": "START_HERE.md",
        "pictures": "as the build has them, or resized as the trainer would, whichever is the smaller file",
    }
    return orjson.dumps(about, option=orjson.OPT_INDENT_2) + b"\n"


def _check_whole(build: BuildFolder) -> None:
    """Raises UserError for files that were changed or lost since the build."""
    if wrong := changed_files(build):
        raise UserError(
            f"{build.path} is not as it was built: {shown_changes(wrong)}",
            remedy="Build again with --force, or put your changes into the recipe.",
        )


def listed(archive: Path) -> Iterator[str]:
    """Names of the files in an archive."""
    with tarfile.open(archive) as tar:
        for entry in tar:
            yield entry.name
