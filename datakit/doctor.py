"""Checks of the installation, the project and the endpoint, each with a remedy."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement
from pydantic import BaseModel

import datakit
from datakit.core.credentials import masked
from datakit.core.errors import DatakitError, UserError
from datakit.core.nvidia_driver import NoDriver, gpu_lines
from datakit.core.settings import RunSettings

State = Literal["ok", "warn", "fail", "none"]
"""`none`: an extra that is not installed and may not be needed."""
EXTRAS = {
    "ocr": "annotate.ocr",
    "paddleocr": "annotate.ocr with engine: paddleocr",
    "hub": "read.hub, emit.hub and Records.to_datasets",
    "postgres": "a result store that a team shares (PostgreSQL)",
    "ray": "run.executor: ray, work on a cluster",
    "s3": "pictures in an object store, s3://",
    "gs": "pictures in Google Cloud Storage, gs://",
    "oss": "pictures in Alibaba Cloud OSS, oss://",
    "hdfs": "pictures in HDFS, hdfs://",
    "fast": "fewer CPU seconds a call of a model (uvloop)",
    "socks": "endpoints behind a SOCKS proxy (aiohttp-socks, socksio)",
    "train": "training, on the GPU machine",
    "serve": "serving, on the GPU machine",
    "test": "the tests",
    "docs": "the documentation site",
}
_OF_DEVELOPERS = ("test", "docs")
"""What datakit's own tests and site need: no user lacks it."""
PROBE_TIMEOUT_S = 5.0
LITTLE_DISK, NO_DISK = 5e9, 2e8
"""Bytes: pictures and stages of 100,000 records take some gigabytes; below the second no build fits."""


class Check(BaseModel):
    """One finding."""

    name: str
    state: State
    message: str
    remedy: str = ""


def examine(project: Path) -> Iterator[Check]:
    """Findings one by one, as they are made."""
    checks: list[Callable[[Path], Iterator[Check]]] = [
        _python,
        _packages,
        _extras,
        _ocr,
        _providers,
        _plugins,
        _endpoint,
        _machine,
        _disk,
        _folders,
        _store,
        _recipes,
    ]
    for check in checks:
        yield from check(project)


def _python(_: Path) -> Iterator[Check]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Check(name="python", state="ok", message=f"{version} at {sys.executable}")


def _packages(_: Path) -> Iterator[Check]:
    if not _is_installed():
        message = (
            f"datakit {datakit.__version__} runs from its source, not installed: nothing says what it needs"
        )
        remedy = "Install it to have its packages checked: pip install -e FOLDER"
        yield Check(name="packages", state="warn", message=message, remedy=remedy)
        return
    wrong = [fault for line in _requirements(None) if (fault := _fault(line))]
    if wrong:
        remedy = "Install again: pip install --upgrade datakit"
        yield Check(name="packages", state="fail", message="; ".join(wrong), remedy=remedy)
    else:
        count = len(_requirements(None))
        message = f"datakit {datakit.__version__}, all {count} packages that it needs"
        yield Check(name="packages", state="ok", message=message)


def _extras(_: Path) -> Iterator[Check]:
    for extra, purpose in EXTRAS.items():
        lines = _requirements(extra)
        if not lines or extra in _OF_DEVELOPERS:
            continue
        missing = [fault for line in lines if (fault := _fault(line))]
        if extra == "ocr" and not missing:
            continue  # `_ocr` tries it
        state: State = "ok" if not missing else "warn" if extra == "ocr" else "none"
        message = (
            f"not installed ({'; '.join(missing)}); for {purpose}" if missing else f"there, for {purpose}"
        )
        remedy = f'pip install "datakit[{extra}]"' if missing else ""
        yield Check(name=f"extra {extra}", state=state, message=message, remedy=remedy)


def _is_installed() -> bool:
    """Whether datakit is here as a package, with what it requires."""
    try:
        metadata.distribution("datakit")
    except metadata.PackageNotFoundError:
        return False
    return True


def _requirements(extra: str | None) -> list[Requirement]:
    """The requirements of datakit itself, or of one extra, that hold on this machine; none from source."""

    def holds(requirement: Requirement, extra: str) -> bool:
        return requirement.marker is None or requirement.marker.evaluate({"extra": extra})

    match = map(Requirement, (metadata.requires("datakit") or []) if _is_installed() else [])
    if extra is None:
        return [requirement for requirement in match if holds(requirement, "")]
    return [requirement for requirement in match if holds(requirement, extra) and not holds(requirement, "")]


def _fault(requirement: Requirement) -> str:
    """What is wrong with an installed package; empty when it is there in a fitting version."""
    name = requirement.name
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{name} is {version}, needed is {name}{requirement.specifier}"


def _ocr(project: Path) -> Iterator[Check]:
    """Loads the engine and lets it read a drawn picture."""
    if any(_fault(line) for line in _requirements("ocr")):
        return  # said above
    from datakit.core.registry import find
    from datakit.core.step_context import StepContext

    again = 'pip install --force-reinstall "datakit[ocr]"'
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "text.png"
            _draw("ORDER 4711", path)
            kind: Any = find("annotate.ocr")
            worker = kind().start(StepContext(base=project, project=project))
            answer = worker.answer({"images": [str(path)]})
    except DatakitError as error:
        yield Check(name="ocr", state="fail", message=str(error), remedy=again)
        return
    except Exception as error:  # engines raise anything when a native library is missing; shown to the user
        message = f"the engine does not load: {type(error).__name__}: {error}"
        remedy = "On slim systems OpenCV needs libgl1 and libglib2.0-0; see also the message."
        yield Check(name="ocr", state="fail", message=message, remedy=remedy)
        return
    if "4711" in str(getattr(answer, "raw", "")):
        yield Check(name="ocr", state="ok", message="RapidOCR loads and reads a test picture")
    else:
        message = f"RapidOCR does not read the test picture: {answer}"
        yield Check(name="ocr", state="fail", message=message, remedy=again)


def _draw(text: str, path: Path) -> None:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (480, 160), "white")
    ImageDraw.Draw(image).text((40, 50), text, fill="black", font=ImageFont.load_default(48))
    image.save(path)


def _providers(_: Path) -> Iterator[Check]:
    """What `llm.provider` may name; a plug-in that does not load is named."""
    from datakit.core.providers import own_providers, provider_names
    from datakit.llm.providers import find

    faulty = list(_unloadable("providers", provider_names()[len(own_providers()) :], find))
    yield from faulty
    if not faulty:
        yield Check(name="providers", state="ok", message=", ".join(provider_names()))


def _plugins(_: Path) -> Iterator[Check]:
    """The transforms and card sections of other packages; one that does not load is named."""
    from datakit.core.plugins import CARD_SECTIONS, load, plugins
    from datakit.core.registry import find, names, own_names

    others, sections = names()[len(own_names()) :], plugins(CARD_SECTIONS)
    faulty = list(_unloadable("plugins", others, find))
    faulty += _unloadable("plugins", sections, lambda name: load(sections[name]))
    yield from faulty
    if not faulty:
        found = ", ".join([*others, *sections]) or "no package adds transforms or card sections"
        yield Check(name="plugins", state="ok", message=found)


def _unloadable(check: str, names: Iterable[str], load: Callable[[str], object]) -> Iterator[Check]:
    for name in names:
        try:
            load(name)
        except UserError as error:
            yield Check(name=check, state="fail", message=error.message, remedy=error.remedy)


def _endpoint(_: Path) -> Iterator[Check]:
    base, key = os.environ.get("OPENAI_BASE_URL"), os.environ.get("OPENAI_API_KEY")
    if base:
        yield _probe(base, key)
    elif key:
        message = "OPENAI_API_KEY is set; the endpoint is OpenAI's own (not asked)"
        yield Check(name="endpoint", state="ok", message=message)
    else:
        yield Check(
            name="endpoint",
            state="warn",
            message="no model: the built-in offline writer would compose descriptions and reasons",
            remedy="export OPENAI_API_KEY=KEY\nexport OPENAI_BASE_URL=https://HOST/v1  # if not OpenAI's",
        )


def _probe(base: str, key: str | None) -> Check:
    """Asks the endpoint for its models. The key is sent, never shown."""
    shown = masked(base)
    if not base.startswith(("http://", "https://")):
        remedy = "Write it with its scheme, such as https://host/v1."
        return Check(name="endpoint", state="fail", message=f"OPENAI_BASE_URL is {shown}", remedy=remedy)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(base.rstrip("/") + "/models", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PROBE_TIMEOUT_S):
            return Check(name="endpoint", state="ok", message=f"{shown} answers")
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            remedy = "Check OPENAI_API_KEY." if key else "Set OPENAI_API_KEY."
            message = (
                f"{shown} refuses the key ({error.code})" if key else f"{shown} wants a key ({error.code})"
            )
            return Check(name="endpoint", state="fail", message=message, remedy=remedy)
        if error.code >= 500:
            remedy = "Try again later, or ask its operator."
            message = f"{shown} answers with {error.code}"
            return Check(name="endpoint", state="warn", message=message, remedy=remedy)
        message = f"{shown} answers, but does not list its models ({error.code})"
        return Check(name="endpoint", state="ok", message=message)
    except (urllib.error.URLError, OSError) as error:
        reason = masked(str(getattr(error, "reason", error)))
        remedy = "Check OPENAI_BASE_URL, the network and the proxy settings."
        return Check(
            name="endpoint", state="fail", message=f"{shown} cannot be reached: {reason}", remedy=remedy
        )


def _machine(_: Path) -> Iterator[Check]:
    import psutil

    from datakit.core.settings import RunSettings
    from datakit.run.executors.process import default_workers

    cores, free = default_workers(), psutil.virtual_memory().available
    need = cores * RunSettings().worker_memory_mb * 1_000_000
    message = f"{cores} cores, {free / 1e9:.1f} GB of memory free"
    if free < need:
        workers = max(1, int(free / (RunSettings().worker_memory_mb * 1_000_000)))
        message += f"; {cores} workers may use {need / 1e9:.1f} GB"
        remedy = f"datakit build --set run.workers={workers}"
        yield Check(name="machine", state="warn", message=message, remedy=remedy)
    else:
        yield Check(name="machine", state="ok", message=message)
    yield Check(name="gpu", state="ok", message=_gpu())


def _gpu() -> str:
    try:
        lines = gpu_lines("name", "memory.total")
    except NoDriver as error:
        return f"{error}; building needs no GPU" if error.answered else "none; building needs none"
    return "; ".join(f"{line} MiB" for line in lines) or "none"


def _disk(project: Path) -> Iterator[Check]:
    free = shutil.disk_usage(project).free
    message = f"{free / 1e9:.1f} GB free in {project}"
    remedy = "Make room, or build elsewhere with --out." if free < LITTLE_DISK else ""
    state: State = "fail" if free < NO_DISK else "warn" if free < LITTLE_DISK else "ok"
    yield Check(name="disk", state=state, message=message, remedy=remedy)


def _folders(project: Path) -> Iterator[Check]:
    closed = []
    for folder in (project, project / "build", project / "data_cards", Path(tempfile.gettempdir())):
        try:
            if folder.is_dir():
                tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            closed.append(f"{folder} ({error.strerror})")
    if closed:
        message, remedy = f"cannot write to {', '.join(closed)}", "Change the owner or the permissions."
        yield Check(name="folders", state="fail", message=message, remedy=remedy)
    else:
        yield Check(name="folders", state="ok", message=f"{project} and the temporary folder can be written")


def _store(project: Path) -> Iterator[Check]:
    from datakit.run.store import Store, store_folder

    if RunSettings().store_url is not None:
        yield _shared_store(project)
        return
    path = store_folder(project, None) / "results.sqlite"
    if not path.is_file():
        yield Check(name="store", state="ok", message=f"none yet in {path.parent}; a first build makes it")
        return
    remedy = "datakit build (sound results are taken over, only the others are made anew)"
    try:
        store = Store(path.parent)
        try:
            verdict, count = store.sound(), sum(step["results"] for step in store.usage())
        finally:
            store.close()
    except DatakitError as error:
        yield Check(name="store", state="fail", message=error.args[0], remedy=remedy)
        return
    if verdict == "ok":
        message = f"{path}: sound, {count:,} results, {path.stat().st_size / 1e6:.1f} MB"
        yield Check(name="store", state="ok", message=message)
    else:
        yield Check(name="store", state="fail", message=f"{path} is damaged: {verdict}", remedy=remedy)


def _shared_store(project: Path) -> Check:
    """The database that DATAKIT_STORE names."""
    from datakit.run.store_place import StorePlace

    place = StorePlace.of(RunSettings(), project)
    try:
        store = place.open()
        try:
            verdict, count = store.sound(), sum(step["results"] for step in store.usage())
        finally:
            store.close()
    except DatakitError as error:
        remedy = getattr(error, "remedy", "") or "Look at DATAKIT_STORE."
        return Check(name="store", state="fail", message=error.args[0], remedy=remedy)
    if verdict == "ok":
        return Check(name="store", state="ok", message=f"{place}: sound, {count:,} results")
    remedy = "datakit build (only damaged results are made anew)"
    return Check(name="store", state="fail", message=f"{place}: {verdict}", remedy=remedy)


def _recipes(project: Path) -> Iterator[Check]:
    from datakit.library import load

    paths = sorted((project / "recipes").glob("*.yaml"))
    wrong = False
    for path in paths:
        try:
            load(path)
        except DatakitError as error:
            wrong = True
            yield Check(
                name=f"recipe {path.name}",
                state="fail",
                message=str(error),
                remedy=f"Mend the lines, then: datakit plan recipes/{path.name}",
            )
    if not paths:
        remedy = "datakit init PATH (or go to a project's folder)"
        yield Check(name="recipes", state="warn", message=f"none in {project / 'recipes'}", remedy=remedy)
    elif not wrong:
        names = ", ".join(path.stem for path in paths)
        yield Check(name="recipes", state="ok", message=f"{names}: no error found")
