"""Packs a build into one tar: data, pictures at training size, configuration, stages and checksums."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

import datakit
from datakit.artifacts import names
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.changed_files import changed_files, shown_changes
from datakit.artifacts.manifest import Manifest
from datakit.artifacts.signoff import require_signoff
from datakit.bundling import light
from datakit.bundling.images import at_training_size
from datakit.bundling.needs import needs_of
from datakit.bundling.packed import packed_of
from datakit.bundling.serving import serve_script
from datakit.bundling.start_here import start_here
from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular, regular
from datakit.core.replacing import check_replaceable
from datakit.core.visible import has_controls
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
_TIME = 315_532_800
"""1980-01-01: the same build gives the same archive, and every tool can read the date."""
_AT_ONCE = 64
_MOST_UNPACKED, _HEADERS = 100, 1 << 20
"""Times that a bundle unpacks to at most what it packs to, and bytes besides: JSON packs tenfold."""
_MOST_SUMS = 1 << 28


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
    check_replaceable(out, "a bundle as datakit packed it", _is_bundle)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.part")
    try:
        writer = _Writer(draft, f"{manifest.name}-bundle")
        with writer:
            _fill(writer, run, manifest)
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


def _fill(writer: _Writer, run: RunFolder, manifest: Manifest) -> None:
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
    contents[START_HERE] = start_here(name, writer.top, needs, listed).encode()
    for path in sorted(contents):
        content = contents[path]
        writer.add(path, read_regular(content) if isinstance(content, Path) else content)
    view = TrainedView(build.emitted_for(NEED).image_max_pixels, trainer_limits(build))
    _add_pictures(writer, build, f"{name}/images", view)
    sums = "".join(f"{digest}  {path}\n" for path, digest in sorted(writer.sums.items()))
    writer.add(SUMS, sums.encode())


def _add_pictures(writer: _Writer, build: BuildFolder, target: str, view: TrainedView) -> None:
    """Some at a time, in order: Pillow works without the interpreter's lock, and memory stays bounded."""
    waiting = iter(sorted(build.images_folder.glob("*")))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while paths := list(islice(waiting, _AT_ONCE)):
            for path, smaller in zip(
                paths, pool.map(lambda p: at_training_size(p, view), paths), strict=True
            ):
                writer.pictures += 1
                writer.resized += smaller is not None
                writer.add(f"{target}/{path.name}", read_regular(path) if smaller is None else smaller)


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


@dataclass
class _Writer:
    """A tar whose bytes depend on its contents alone."""

    path: Path
    top: str
    sums: dict[str, str] = field(default_factory=dict)
    pictures: int = 0
    resized: int = 0

    def __enter__(self) -> _Writer:
        self._file = open(self.path, "wb")
        self._zipped = None
        stream: Any = self._file
        if self.path.name.removesuffix(".part").endswith(("gz", "tgz")):
            import gzip

            stream = self._zipped = gzip.GzipFile("", "wb", 6, self._file, mtime=0)
        self._tar = tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._tar.close()
                if self._zipped is not None:
                    self._zipped.close()
        finally:
            # Else its stream writes what it holds once more when it is collected, after a full disk.
            setattr(self._tar.fileobj, "closed", True)  # noqa: B010 (typeshed knows it as a plain file)
            self._file.close()

    def add(self, path: str, data: bytes) -> None:
        """One file; scripts may be executed."""
        _check_member(path)
        entry = tarfile.TarInfo(f"{self.top}/{path}")
        entry.size, entry.mtime = len(data), _TIME
        entry.mode = 0o755 if path.endswith(".sh") else 0o644
        self._tar.addfile(entry, io.BytesIO(data))
        self.sums[path] = hashlib.sha256(data).hexdigest()


def _check_member(path: str) -> None:
    """Raises UserError for a name that would be unpacked outside of the bundle's folder, or as another."""
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or has_controls(path) or {"", ".", ".."} & set(parts):
        raise UserError(
            f"{path!r} cannot stand in an archive: it would be unpacked elsewhere", remedy="Build again."
        )


def _is_bundle(archive: Path) -> bool:
    """Whether an archive holds a bundle and no file besides. Raises ValueError for what is no archive.

    The archive may be anybody's: nothing in it is unpacked, and it is read no further than bundles go.
    """
    names: list[str] = []
    lines: list[str] = []
    room = _MOST_UNPACKED * archive.stat().st_size + _HEADERS
    try:
        with open(archive, "rb", opener=regular) as file, tarfile.open(fileobj=file) as tar:
            for member in tar:
                room -= member.size
                if room < 0 or not member.isfile() or member.name in names[:1]:
                    return False
                names.append(member.name)
                if member.name.endswith(f"/{SUMS}") and member.size < _MOST_SUMS:
                    sums = tar.extractfile(member)
                    lines = sums.read().decode("utf-8").splitlines() if sums is not None else []
    except tarfile.TarError as error:
        raise ValueError(f"{archive} is no archive: {error}") from None
    top = names[0].partition("/")[0] if names else ""
    expected = [f"{top}/{SUMS}", *(f"{top}/{line.split('  ', 1)[-1]}" for line in lines)]
    return sorted(names) == sorted(expected)


def listed(archive: Path) -> Iterator[str]:
    """Names of the files in an archive."""
    with tarfile.open(archive) as tar:
        for entry in tar:
            yield entry.name
