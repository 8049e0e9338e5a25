"""Who has signed a build off: a line a signature in data_cards/NAME.signoff.jsonl, kept in the project."""

from __future__ import annotations

import fcntl
import json
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.changed_files import changed_files, shown_changes
from datakit.core.clock import utc_now
from datakit.core.errors import UserError
from datakit.core.record import digest
from datakit.core.regular_files import read_regular
from datakit.core.shown_path import show_path
from datakit.core.visible import has_controls

FOLDER, SUFFIX = "data_cards", ".signoff.jsonl"
_REBUILD = "Build again with --force, or put your changes into the recipe and its data and build."


class SignOff(BaseModel):
    """One signature."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    build: str = Field(min_length=1)
    """The recipe's name."""
    name: str = Field(min_length=1, max_length=200)
    """Who signed."""
    date: str
    """When, in UTC."""
    content: str = Field(min_length=1)
    """Content hash of the data that was signed: other data is unsigned."""
    check: str = ""
    """Digest of the other fields, by which an edit by hand shows. It is no secret: who means to forge a
    signature can."""

    @property
    def sum(self) -> str:
        """What `check` must be."""
        return digest(self.model_dump(exclude={"check"})).hex()


@dataclass
class SignOffs:
    """What stands in the file of a build."""

    path: Path
    signed: list[SignOff] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Lines that are no signature, with what is wrong; they count for nothing."""

    def of(self, content: str) -> list[SignOff]:
        """The signatures under this content."""
        return [one for one in self.signed if one.content == content]


def signoff_file(build: BuildFolder) -> Path:
    """Where the signatures of a build stand in its project."""
    return _project(build) / FOLDER / f"{build.report.name}{SUFFIX}"


def read_signoffs(build: BuildFolder) -> SignOffs:
    """All signatures under builds of this name."""
    found = SignOffs(signoff_file(build))
    try:
        data = read_regular(found.path)
    except (FileNotFoundError, NotADirectoryError):
        return found
    except OSError as error:
        raise UserError(f"cannot read {found.path}: {error.strerror}") from None
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            one = SignOff.model_validate(json.loads(line))
        except (ValueError, RecursionError):  # ValidationError is a ValueError
            found.faults.append(f"line {number} is no signature")
            continue
        if one.check != one.sum:
            found.faults.append(f"line {number} was edited by hand")
        elif one.build != build.report.name:
            found.faults.append(f"line {number} is of the build {one.build}")
        else:
            found.signed.append(one)
    return found


def sign(build: BuildFolder, name: str) -> SignOff:
    """The signature, appended to the file; where the name has signed this very data, the one that is there.
    Raises UserError for a build whose files are not as they were built, and for a name that is none."""
    if not name.strip() or has_controls(name) or "\n" in name:
        raise UserError("the name of who signs is missing", remedy='Give it: --name "Wang Fang"')
    if changed := changed_files(build):
        raise UserError(
            f"{build.path} is not as it was built: {shown_changes(changed)}",
            remedy=f"{_REBUILD} Then review and sign that.",
        )
    if earlier := signature_of(build, name):
        return earlier
    try:
        one = SignOff(
            build=build.report.name, name=name.strip(), date=utc_now(), content=build.manifest.content
        )
    except ValidationError:
        raise UserError(
            f"{build.path} cannot be signed: it has no content hash, or the name is too long",
            remedy="Build it again with this version of datakit.",
        ) from None
    one = one.model_copy(update={"check": one.sum})
    path = signoff_file(build)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        data = file.read()
        line = json.dumps(one.model_dump(), ensure_ascii=False).encode() + b"\n"
        file.write(line if not data or data.endswith(b"\n") else b"\n" + line)
    return one


def signature_of(build: BuildFolder, name: str) -> SignOff | None:
    """The one under this very data by that name."""
    found = read_signoffs(build).of(build.manifest.content)
    return next((one for one in found if one.name == name.strip()), None)


def require_signoff(build: BuildFolder) -> None:
    """Raises UserError where the build's recipe asks for a signature and nobody signed this very data, or
    any of its files was changed since: the trainer follows its configuration and reads its pictures."""
    if not build.section("run").get("require_signoff"):
        return
    found = read_signoffs(build)
    changed = changed_files(build)
    if found.of(build.manifest.content) and not changed:
        return
    if changed:
        why = f"since the build {shown_changes(changed)}"
    elif found.signed:
        last = found.signed[-1]
        why = f"{last.name} signed another build of {build.report.name} on {last.date[:10]}, not this data"
    else:
        why = "nobody has signed it"
    faults = f" In {found.path.name} {'; '.join(found.faults[:3])}." if found.faults else ""
    place = show_path(build.path)
    words = "is not signed off, and its recipe says `run: {require_signoff: true}`"
    reviews = [f"datakit review {place} --task {task.path.name}" for task in build.tasks]
    again = f"{_REBUILD} Or, where the build is right: put the files back. " if changed else ""
    raise UserError(
        f"{place} {words}: {why}.{faults}",
        remedy=f"{again}Review it ({'; '.join(reviews) or f'datakit review {place}'}), then: "
        f"datakit signoff {place} --name NAME",
    )


def _project(build: BuildFolder) -> Path:
    """The project that the build lies in: where its cards are."""
    path = build.path.absolute()
    return path.parent.parent if path.parent.name == "build" else build.projects[0]
