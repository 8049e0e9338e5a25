"""What a build is made of, as its manifest records it, and whether a build made now would be the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import datakit
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.manifest import FileStamp, stamp
from datakit.artifacts.rejects import read_rejects
from datakit.core.files import FileDigests
from datakit.core.record import digest
from datakit.core.remote_pictures import refreshed
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Guard
from datakit.llm._faults import of_server
from datakit.recipe.recipe import Recipe, Step
from datakit.run.keys import fingerprint, guard_print
from datakit.run.result_store import ResultStore

_ANY_SERVER = "at most 0 images"
"""Words of a server that takes no pictures, to ask whether a reason may be a fact about one at all."""


def settings_digest(recipe: Recipe, context: StepContext, limit: int | None) -> str:
    """Digest of all that decides the build besides the content of files that steps declare."""
    templates = {
        name: context.templates.digest(name, whole=True)
        for step in (*recipe.steps, *recipe.emitters)
        for name in step.transform.templates()
    }
    relevant = {key: value for key, value in recipe.data.items() if key != "run"}
    return digest(
        {
            "datakit": datakit.__version__,
            "recipe": relevant,
            "project": str(context.project),
            "max_reject_rate": recipe.run.max_reject_rate,
            # Only where it is asked for, so that builds of earlier versions stay current.
            **({"require_signoff": True} if recipe.run.require_signoff else {}),
            "templates": templates,
            "labels": recipe.labels.digest if recipe.labels else "",
            **({"task_labels": _task_labels(recipe)} if recipe.tasks else {}),
            "provider": recipe.llm.resolved_provider(),
            "limit": limit,
            "steps": [
                [step.name, step.transform.version, *_annotator_print(step, context)]
                for step in (*recipe.steps, *recipe.emitters)
            ],
        }
    ).hex()


def step_settings(recipe: Recipe, context: StepContext) -> list[dict[str, Any]]:
    """Per annotator what its keys rest on, and the guards that change what is served."""
    return [
        {
            "number": step.number,
            "name": step.name,
            "version": step.transform.version,
            "fingerprint": fingerprint(step.transform, context.in_task(step.task)),
            "settings": step.transform.key_settings(context.in_task(step.task)),
            "templates": {name: context.templates.digest(name) for name in step.transform.templates()},
        }
        for step in recipe.steps
        if isinstance(step.transform, Annotator)
    ] + [
        {
            "number": step.number,
            "name": step.name,
            "version": step.transform.version,
            "fingerprint": guard_print(step.transform),
            "changes_texts": True,
        }
        for step in recipe.steps
        if isinstance(step.transform, Guard) and step.transform.served(context.in_task(step.task)) is not None
    ]


def stamp_files(recipe: Recipe, context: StepContext) -> dict[str, FileStamp]:
    """Stamps of the files that steps read, with content hashes, remembered where nothing changed."""
    return {
        str(path): stamp(path, hashed=True, sha256=context.files.sha256(path) if path.is_file() else "")
        for path in declared_files(recipe, context)
    }


def declared_files(recipe: Recipe, context: StepContext) -> list[Path]:
    """The files that steps and emitters read, records or not: a build rests on all of them."""
    steps = (*recipe.steps, *recipe.emitters)
    return [context.path(str(path)) for step in steps for path in step.transform.files(context)]


_BY_CONTENT = "content:"
"""Before a digest over what pictures hold; datakit 0.1 wrote one over their stamps, without a word."""


def images_digest(digests: Iterable[tuple[str, str]]) -> str:
    """Digest over pairs of path and content, sorted by path; a missing file counts as such."""
    state = hashlib.blake2b(digest_size=16)
    for path, sha256 in digests:
        state.update(f"{path}\0{sha256}\n".encode())
    return _BY_CONTENT + state.hexdigest()


def same_images(
    paths: Iterable[str], recorded: str, files: FileDigests, copies: Mapping[str, str] | None = None
) -> bool:
    """Whether pictures are those of a build that recorded this digest; `copies` are read in their place."""
    if not recorded.startswith(_BY_CONTENT):
        return _old_images_digest(paths) == recorded
    places = {path: (copies or {}).get(path, path) for path in paths}
    digests = files.sha256_of(places.values())
    return images_digest((path, digests[place]) for path, place in places.items()) == recorded


def _old_images_digest(paths: Iterable[str]) -> str:
    """As datakit 0.1 recorded it: over path, size and time of change."""
    state = hashlib.blake2b(digest_size=16)
    for path in paths:
        try:
            status = os.stat(path)
            state.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        except OSError:
            state.update(f"{path}\0missing\n".encode())
    return state.hexdigest()


def is_current(
    build: BuildFolder,
    recipe: Recipe,
    context: StepContext,
    limit: int | None,
    store: ResultStore | None = None,
) -> bool:
    """Whether a build of this recipe would come out as this one, which is intact; with the store also whether
    nothing that it rests on was taken out of that."""
    manifest = build.find_manifest()
    if manifest is None or manifest.settings != settings_digest(recipe, context, limit):
        return False
    sources = {str(path) for path in declared_files(recipe, context)}
    if sources != manifest.sources.keys():
        return False
    files = context.files
    if not all(is_same(Path(path), old, files) for path, old in manifest.sources.items()):
        return False
    # Before the build's own, which are mostly links to these: what is known of a file is known of its links.
    if not _has_same_inputs(build, manifest.images, recipe, context):
        return False
    if not all(is_same(build.path / path, old, files) for path, old in manifest.artifacts.items()):
        return False
    return not _lacks_answers(build) and not (store is not None and _is_forgotten(build, recipe, store))


def _has_same_inputs(build: BuildFolder, recorded: str, recipe: Recipe, context: StepContext) -> bool:
    """Whether the pictures of the sources hold what they held, those of an object store as they are now."""
    paths, steps = build.input_images(), (*recipe.steps, *recipe.emitters)
    if paths is None:
        return False
    schemes = {extra for step in steps for _, extra in step.transform.packages(context)}
    copies = refreshed(paths, context, schemes)
    return copies is not None and same_images(paths, recorded, context.files, copies)


def _lacks_answers(build: BuildFolder) -> bool:
    """Whether records wait for another try, or were left out for what a server was (`of_server`)."""
    if build.report.retry:
        return True
    reasons = {reason for step in build.report.steps for reason in step.rejected}
    if not any(of_server(reason, _ANY_SERVER) for reason in reasons):
        return False
    return any(of_server(line["reason"], line["detail"]) for line in read_rejects(build.rejects_file))


def _is_forgotten(build: BuildFolder, recipe: Recipe, store: ResultStore) -> bool:
    """Whether results that the build rests on may have been taken out of the store since (`cache forget`)."""
    at = store.forgotten()
    latest = max((at[step.name] for step in recipe.steps if step.name in at), default=0.0)
    return latest > build.made_at


def _annotator_print(step: Step, context: StepContext) -> list[Any]:
    kind = step.transform
    if not isinstance(kind, Annotator):
        return []
    return [fingerprint(kind, context.in_task(step.task)), kind.reading]


def _task_labels(recipe: Recipe) -> dict[str, str]:
    return {task.name: task.labels.digest if task.labels else "" for task in recipe.tasks}


def is_same(path: Path, old: FileStamp, files: FileDigests) -> bool:
    """Whether a file is what it was: untouched, or of the same content.

    Pictures of a build have no sha256 in their stamps; their names begin with it where they are as they came.
    """
    now = stamp(path, hashed=False)
    if now.bytes != old.bytes or old.unchanged(now):
        return now.bytes == old.bytes
    return files.sha256(path).startswith(old.sha256 or path.stem)
