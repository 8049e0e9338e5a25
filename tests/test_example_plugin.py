"""examples/plugin is installed as any package is, and passes its own tests; broken plug-ins are named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent

import pytest

from datakit.core import registry
from datakit.core.errors import UserError
from datakit.core.plugins import plugins
from tests.support.markdown_blocks import PAGES, blocks_of

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "examples" / "plugin"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as pip installs it, without a network."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PLUGIN, folder / "source", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*command, "--target", str(folder / "site"), str(folder / "source")], check=True)
    return folder / "site"


def run(site: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command of Python's that has the package installed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    return subprocess.run(
        [sys.executable, *command],
        cwd=site.parent / "source",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_package_passes_its_own_tests_and_builds_its_recipe(site: Path) -> None:
    done = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_what_it_adds_is_listed_as_datakits_own_is(site: Path) -> None:
    listed = run(site, "-m", "datakit.cli", "transforms").stdout
    assert "shop.price" in listed
    assert "emit.csv" in listed
    assert "first price in the text" in run(site, "-m", "datakit.cli", "transforms", "shop.price").stdout
    assert "shop.price, labels_by_split" in run(site, "-m", "datakit.cli", "doctor").stdout.replace(
        "emit.csv, ", ""
    )


Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package of one module with one entry point, for the length of a test."""

    def forget() -> None:
        for function in (registry.names, registry.find, plugins):
            function.cache_clear()

    def write(name: str, code: str) -> None:
        info = tmp_path / "brittle-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brittle\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[datakit.transforms]\n{name} = brittle_module:Mine\n")
        (tmp_path / "brittle_module.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "brittle_module", raising=False)
        forget()

    yield write
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    ("name", "code", "fault"),
    [
        ("guard.mine", "import no_such_package", "does not load: ModuleNotFoundError: No module named"),
        ("guard.mine", "1 / 0", "does not load: ZeroDivisionError"),
        ("guard.mine", "Other = 1", "does not load: AttributeError"),
        ("guard.mine", "Mine = 1", "is no transform, but 1"),
        ("guard.label", "Mine = 1", "takes the name of datakit's own `guard.label`"),
    ],
)
def test_broken_plugin_is_named_with_its_package_and_entry_point(
    install: Install, name: str, code: str, fault: str
) -> None:
    install(name, code)
    with pytest.raises(UserError) as caught:
        registry.find(name)
    message = str(caught.value)
    assert message.startswith(f'plug-in brittle 1.2: entry point {name} = "brittle_module:Mine" of the group')
    assert fault in message
    assert "Install brittle 1.2 again" in message


FROM = "from examples/plugin/"
MARKER = f"\n<!-- {FROM}"
SHOWING = [page for page in PAGES if MARKER in page.read_text("utf-8")]


def test_each_kind_of_plugin_has_a_guide_that_shows_the_package() -> None:
    guides = {f"write-{kind}.md" for kind in ("a-transform", "an-emitter", "a-provider", "a-card-section")}
    assert {page.name for page in SHOWING} >= guides


@pytest.mark.parametrize("page", SHOWING, ids=lambda page: page.stem)
def test_blocks_from_the_package_are_those_of_the_package(page: Path) -> None:
    shown = [block for block in blocks_of(page) if block.marker.startswith(FROM)]
    assert len(shown) == page.read_text("utf-8").count(MARKER) >= 2, (
        "a marker that is not right before a block"
    )
    for block in shown:
        file = block.marker.removeprefix(FROM)
        source = (PLUGIN / file).read_text("utf-8")
        assert block.text in source or indent(block.text, "    ") in source, f"{block.where} is not in {file}"
