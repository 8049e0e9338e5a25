"""Fixtures for all tests: a project of one's own, away from the checkout."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from datakit.core import registry
from datakit.core.plugins import plugins
from datakit.core.step_context import StepContext
from datakit.run.executors.process import default_workers
from tests.support.drawn_once import drawn_once
from tests.support.light_python import bare_python_3_10
from tests.support.loopback import KEY, Loopback

__all__ = ["bare_python_3_10"]

with suppress(ImportError):  # the environments of the trainer and of vLLM have none: their tests draw nothing
    from hypothesis import settings

    settings.register_profile(
        "any machine", deadline=None
    )  # a busy one takes its time: no test is about seconds
    settings.load_profile("any machine")


if hasattr(signal, "SIGHUP"):  # under nohup the commands that tests start would ignore it like this process
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

LONG = (
    "tests/docs/test_blocks.py",
    "tests/bundling/test_run.py",
    "tests/test_readme_commands.py",
    "tests/test_wheel.py",
    "tests/test_chaos.py",
    "tests/core/test_image_memory.py",
    "tests/run/test_batch_builds.py",
)
"""Files of more than a minute of a core, some of them with few tests."""


def pytest_configure(config: pytest.Config) -> None:
    """Has pytest-xdist give out files in the order below, which its own (most tests first) would undo.

    Linear algebra has one thread, also in the commands that tests start: beside other tests it is no faster
    with more, which wait for each other and double the seconds of a proxy step.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Half as many processes again as cores for `-n auto`: tests wait a quarter of their time."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # which pytest-xdist reads itself
    return default_workers() + default_workers() // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, then those of many tests: so that no worker waits long for another at the end."""
    file_of = {item: item.nodeid.partition("::")[0] for item in items}
    counts = Counter(file_of.values())
    rank = {file: (file not in LONG, -count) for file, count in counts.items()}
    items.sort(key=lambda item: rank[file_of[item]])


@pytest.fixture(autouse=True)
def _no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches an endpoint or a store of the user's by accident."""
    own = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_VERSION", "DATAKIT_STORE")
    for name in (*own, "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _drawn_once() -> Iterator[None]:
    """Cards of equal builds are drawn once."""
    with drawn_once():
        yield


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """An endpoint of a model on this machine, and its key in the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Loopback() as server:
        yield server


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One result store for all processes of the tests: OCR of a shipped picture is done once."""
    base = tmp_path_factory.getbasetemp()
    store = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-store"
    store.mkdir(exist_ok=True)
    return store


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project folder."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "templates").mkdir()
    return tmp_path


@pytest.fixture
def make_context(project: Path) -> Callable[..., StepContext]:
    """Makes the surroundings of a step in the test's project."""

    def make(**changes: object) -> StepContext:
        return StepContext(**{"base": project / "recipes", "project": project, **changes})  # type: ignore[arg-type]

    return make


POINTS = {
    "toy.numbers": "Numbers",
    "toy.work": "Work",
    "toy.process_work": "ProcessWork",
    "toy.only_odd": "OnlyOdd",
    "toy.drop_short": "DropShort",
    "toy.shout": "Shout",
    "emit.lines": "Lines",
}


def _forget() -> None:
    for function in (registry.names, registry.find, plugins):
        function.cache_clear()


@pytest.fixture
def toys(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installs tests/support/toys.py as a package with entry points, for the length of a test."""
    site = tmp_path_factory.mktemp("site")
    info = site / "toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    points = "\n".join(f"{name} = tests.support.toys:{kind}" for name, kind in POINTS.items())
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{points}\n")
    from tests.support import toys

    names = {kind: getattr(toys, kind).registered_name for kind in POINTS.values()}
    monkeypatch.syspath_prepend(str(site))
    _forget()
    yield
    _forget()
    for kind, name in names.items():
        getattr(toys, kind).registered_name = name


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window, for tests with the marker `browser`; playwright is there where these run."""
    from playwright.sync_api import sync_playwright
    from screens.browser import browser_path

    with sync_playwright() as playwright:
        process = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        yield process
        process.close()
