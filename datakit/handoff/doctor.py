"""What keeps a machine from training, serving and scoring a bundle: all faults at once, with remedies.

It changes nothing. Written with the standard library alone, for any Python of 3.10 or later.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

from datakit.artifacts import names
from datakit.artifacts.needs import PACKAGES
from datakit.core.disk_faults import disk_fault
from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular, regular
from datakit.core.scripts import shell_words
from datakit.handoff.answering import KEY, who_answers
from datakit.handoff.base_model import cached, examine_base, hub_cache, is_at_hub
from datakit.handoff.bundle_settings import BundleSettings
from datakit.handoff.finding import FAULT, FINE, WARNING, Finding
from datakit.handoff.programs import (
    examine_gpus,
    examine_server,
    examine_trainer,
    server_is_there,
    trainer_is_there,
)
from datakit.training.leftovers import leftovers

SUMS = "SHA256SUMS"
_GIB = 1 << 30
_LITTLE_SHARED = 1 << 30
"""Bytes of /dev/shm: a container has 64 MiB unless it gets more, and workers hand pictures over in it."""
_MOST_NAMED = 3
Check = Callable[[BundleSettings], Iterable[Finding]]


def examine(settings: BundleSettings) -> Iterator[Finding]:
    """Every finding, in the order in which things are needed."""
    checks = (examine_files, _python, examine_trainer, examine_server, examine_gpus, examine_base)
    yield from _all(settings, (*checks, _disk, _memory, _leftovers, _port, _nodes))


def examine_quickly(settings: BundleSettings, *, trains: bool, asks: bool) -> Iterator[Finding]:
    """The same before the stages, without starting a program; `trains` and `asks` say what they will do."""
    checks: list[Check] = [examine_files]
    if trains:
        checks += [trainer_is_there, examine_gpus, examine_base, _disk, _nodes]
    if asks:
        checks += [server_is_there, _port]
    yield from _all(settings, checks)


def _all(settings: BundleSettings, checks: Iterable[Check]) -> Iterator[Finding]:
    """The findings in the order of the checks, which run at once: programs take their time to start."""
    with ThreadPoolExecutor() as pool:
        for findings in pool.map(lambda check: list(check(settings)), checks):
            yield from findings


def examine_files(settings: BundleSettings) -> Iterator[Finding]:
    """Whether the bundle is as it was packed, and its rows have their pictures."""
    wrong = list(_changed(settings.folder))
    if not wrong:
        try:
            wrong = list(_incomplete(settings.data))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            wrong = [f"its rows cannot be read: {error}"]
    if not wrong:
        yield Finding("bundle", FINE, f"{settings.folder} is as it was packed")
    for fault in wrong[:_MOST_NAMED]:
        yield Finding("bundle", FAULT, fault, "Unpack it again, on a disk with room for it.")
    if more := wrong[_MOST_NAMED:]:
        yield Finding("bundle", FAULT, f"{len(more)} more files are missing or changed")


def refuse_changed(settings: BundleSettings) -> None:
    """Raises UserError where a file is not as it was packed, for stages that come without the check.

    The pictures are left to the digests of the stages: a million of them would be read at each call.
    """
    wrong = list(_changed(settings.folder, but=f"{settings.name}/{names.IMAGES}/"))
    if wrong:
        more = f"; and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
        raise UserError(
            f"the bundle is not as it was packed: {'; '.join(wrong[:_MOST_NAMED])}{more}",
            remedy="Unpack it again. Other settings of the training are given as TRAIN_FLAGS, of the server "
            "as SERVE_FLAGS.",
        )


def _changed(folder: Path, but: str = "") -> Iterator[str]:
    """What is wrong with the files that are listed, save those whose names begin with `but`."""
    try:
        lines = read_regular(folder / SUMS).decode("utf-8").splitlines()
    except (OSError, ValueError) as error:
        yield f"{SUMS} cannot be read: {error}"
        return
    if not lines:
        yield f"{SUMS} lists no file"
    for line in lines:
        expected, sign, name = line.partition("  ")
        if not sign:
            yield f"{SUMS} was changed since the bundle was packed"
            return
        if but and name.startswith(but):
            continue
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
            continue
        digest = hashlib.sha256()
        with open(path, "rb", opener=regular) as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        if digest.hexdigest() != expected:
            yield f"{name} was changed since the bundle was packed"


def _incomplete(data: Path) -> Iterator[str]:
    """Counts and pictures against what the build says."""
    emitted = json.loads(read_regular(data / names.EMITTED))
    missing = set()
    for entry in emitted["files"].values():
        rows = json.loads(read_regular(data / entry["file"]))
        if len(rows) != entry["rows"]:
            yield f"{entry['file']} has {len(rows)} rows, the build had {entry['rows']}"
        images = {image for row in rows for image in row.get("images") or ()}
        missing |= {image for image in images if not (data / image).is_file()}
    if missing:
        yield f"{len(missing)} pictures of the rows are missing, such as {min(missing)}"


def _python(settings: BundleSettings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if faults := package_faults():
        message = f"{version}, {sys.executable}: {'; '.join(faults.values())}"
        remedy = "Name another, such as that of LLaMA-Factory or vLLM: PYTHON=/environment/bin/python. "
        install = shell_words([sys.executable, "-m", "pip", "install", "--upgrade", "--force-reinstall"])
        yield Finding("Python", FAULT, message, f"{remedy}Or: {install} {' '.join(faults)}")
    else:
        yield Finding("Python", FINE, f"{version}, {sys.executable}")


def package_faults() -> dict[str, str]:
    """Packages that what the bundle carries cannot do with -> what is wrong: missing, too old, or broken."""
    faults = {}
    for name in PACKAGES:
        try:
            module = import_module("PIL.Image" if name == "pillow" else name)
        except ModuleNotFoundError as error:
            is_gone = error.name == ("PIL" if name == "pillow" else name)
            faults[name] = f"lacks {name}" if is_gone else f"{name} does not load ({error})"
        except Exception as error:  # of another Python, or without a library: it is told to the user
            faults[name] = f"{name} does not load ({type(error).__name__}: {_first_line(error)})"
        else:
            version = str(getattr(module, "__version__", ""))
            if name == "pydantic" and version.startswith(("0.", "1.")):
                faults[name] = f"{name} is {version}, and 2 or later is needed"
    return faults


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "it says nothing")


def _disk(settings: BundleSettings) -> Iterator[Finding]:
    """Room for checkpoints, the trained and the served model, and for the download of the base model."""
    place = _existing(settings.run)
    if not os.access(place, os.W_OK):
        number = errno.EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else errno.EACCES
        yield Finding("disk", FAULT, *disk_fault(OSError(number, os.strerror(number), str(place))))
        return
    if settings.base_url:
        return
    needs, there = settings.needs, sum(path.stat().st_size for path in _files_of(settings.run))
    download = needs.base_bytes if is_at_hub(settings.model) and cached(settings.model) is None else 0
    run = max(0, needs.run_bytes - there)
    cache = _existing(hub_cache())
    if place.stat().st_dev == cache.stat().st_dev:
        purpose = "checkpoints, the trained and the served model" + ", and the base model" * bool(download)
        yield _room(place, run + download, purpose, _ROOM)
        return
    yield _room(place, run, "checkpoints, the trained and the served model", _ROOM)
    if download:
        yield _room(cache, download, "the download of the base model", "Set HF_HOME to a larger disk.")


def _room(folder: Path, size: int, purpose: str, remedy: str) -> Finding:
    free = shutil.disk_usage(folder).free
    message = f"{free / 1e9:,.1f} GB free in {folder}, {size / 1e9:,.1f} GB needed for {purpose}"
    return Finding("disk", FAULT, message, remedy) if size > free else Finding("disk", FINE, message)


_ROOM = (
    "Make room, or move the bundle to a larger disk. One checkpoint in place of more: "
    'TRAIN_FLAGS="save_total_limit=1"'
)


def _files_of(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else iter(())


def _existing(place: Path) -> Path:
    while not place.exists():
        place = place.parent
    return place


def _memory(settings: BundleSettings) -> Iterator[Finding]:
    """Host memory, of the container where there is one, and the shared memory of processes."""
    if settings.base_url or settings.cpu:
        return
    size, needed = host_bytes(), settings.needs.host_bytes
    if size and needed > size:
        message = f"{size / _GIB:.1f} GiB; the training needs {needed / _GIB:.1f} GiB by the memory plan"
        yield Finding(
            "memory", WARNING, message, "Take a machine with more, or a build with less offloading."
        )
    elif size:
        yield Finding(
            "memory", FINE, f"{size / _GIB:.1f} GiB, {needed / _GIB:.1f} GiB needed for the training"
        )
    shared = Path("/dev/shm")
    if shared.is_dir() and (total := shutil.disk_usage(shared).total) < _LITTLE_SHARED:
        message = f"/dev/shm has {total / (1 << 20):.0f} MiB: workers and GPUs hand data over in it"
        yield Finding("memory", WARNING, message, "Start the container with more: docker run --shm-size=16g")


def _leftovers(settings: BundleSettings) -> Iterator[Finding]:
    for leftover in leftovers(settings.run.parent):
        if leftover.works:
            message = f"it runs already in {leftover.run}; ./run.sh attaches to it"
            yield Finding("training", FINE, message)
        else:
            yield Finding("training", WARNING, leftover.words, leftover.remedy)


def host_bytes() -> int:
    """Memory of this machine, or of its container; 0 where neither is told."""
    sizes = [int(line.split()[1]) << 10 for line in _lines("/proc/meminfo") if line.startswith("MemTotal:")]
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        sizes += [int(line) for line in _lines(limit) if line.isdigit()]
    return min(sizes, default=0)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _port(settings: BundleSettings) -> Iterator[Finding]:
    if settings.base_url:
        return
    answering = who_answers(settings.port, settings.served)
    if answering.kind in ("nobody", "ours"):
        state = "is free" if answering.kind == "nobody" else "has a server of this model already"
        yield Finding("port", FINE, f"{settings.port} {state}")
        return
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
    message = f"port {settings.port} is taken by a server of something else"
    key = f"Where it is yours, put its key into {KEY}. " if answering.kind == "locked" else ""
    yield Finding("port", FAULT, message, f"{key}Stop it, or give another port: PORT={free}")


def _nodes(settings: BundleSettings) -> Iterator[Finding]:
    if settings.nodes == 1:
        return
    if settings.rank >= settings.nodes:
        message = f"node {settings.rank} of {settings.nodes}: they are counted from 0 on"
        yield Finding("nodes", FAULT, message, f"Set NODE_RANK to a number from 0 to {settings.nodes - 1}.")
    if not settings.master:
        message = f"{settings.nodes} nodes train, and this one does not know where node 0 is"
        remedy = "On each node: MASTER_ADDR=ADDRESS_OF_NODE_0 NODE_RANK=0 (1, 2, …) ./run.sh"
        yield Finding("nodes", FAULT, message, remedy)
        return
    try:
        socket.getaddrinfo(settings.master, settings.master_port or 29500)
    except OSError as error:
        message = f"the address of node 0, {settings.master}, is not known here: {error.strerror}"
        yield Finding("nodes", FAULT, message, "Set MASTER_ADDR to an address that this node can reach.")
