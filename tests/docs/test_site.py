"""The site builds without a warning, and reads from a disk: nothing on it comes from elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PULLS = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(?:https?:)?//[^\s\">]+|<link\b[^>]*\bhref=\"?https?://[^\s\">]+"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={
            **os.environ,
            "NO_MKDOCS_2_WARNING": "1",
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_in_the_navigation(site: Path) -> None:
    pages = {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        for path in (ROOT / "docs").rglob("*.md")
    }
    assert len(pages) > 20
    index = (site / "index.html").read_text("utf-8")
    assert [page for page in sorted(pages) if f'href="{page}"' not in index and page != "index.html"] == []


@pytest.mark.fault(
    "the documentation is opened",
    "nothing comes from elsewhere: no font, no script",
    kind="dependencies",
)
def test_nothing_comes_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    assert [(page.name, found) for page in pages for found in PULLS.findall(page.read_text("utf-8"))] == []
    style = [*site.rglob("*.css")]
    assert [
        path.name for path in style if re.search(r"url\(\"?https?:|@import", path.read_text("utf-8"))
    ] == []


def test_search_works_from_a_disk(site: Path) -> None:
    """The index is a script, and a worker that a disk refuses has its stand-in."""
    text = (site / "search" / "search_index.js").read_text("utf-8")
    entries = json.loads(text.removeprefix("var __index = "))["docs"]
    assert len(entries) > 100
    assert any("annotate.ocr" in entry["title"] for entry in entries)
    assert 'src="assets/iframe-worker.js"' in (site / "index.html").read_text("utf-8")
    assert "Copyright (c) 2020-2022 Martin Donath" in (site / "assets" / "iframe-worker.js").read_text(
        "utf-8"
    )


def test_readme_links_lead_to_files() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        links = re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text("utf-8"))
        assert [link for link in links if not (ROOT / link).exists()] == []


def test_tasks_of_contributing_are_those_of_nox_and_of_ci() -> None:
    sessions = set(re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE))
    tasks = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Tasks")[2].partition("\n## ")[0]
    table = set(re.findall(r"^\| `(\w+)` \|", tasks, re.MULTILINE))
    assert sessions == table
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    matrix = workflow["jobs"]["task"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    assert set(matrix["task"]) == {"lint", "types", "tests", "docs", "wheel"} <= sessions
    ran = re.search(r"nox -s ([a-z ]+)", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert ran is not None
    assert {"lint", "types", "docs"} == set(ran[1].split()) <= sessions


@pytest.mark.fault("a commit runs the hooks", "they fetch nothing", kind="dependencies")
def test_hooks_run_in_the_environment_and_fetch_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert [entry["repo"] for entry in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} >= {"ruff", "ruff-format", "mypy"}
    assert {hook["language"] for hook in hooks} == {"system"}
