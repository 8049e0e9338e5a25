"""The generated pages are those of this very tree, and hold every word that they are to hold."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import datakit as dk
from datakit.core.reasons import REJECTED, RETRIED
from datakit.core.registry import find, names
from datakit.recipe.reference import entry
from datakit.verdict import KINDS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import decision_page  # noqa: E402 (its folder is no package)
import make_reference  # noqa: E402
import reference_pages  # noqa: E402
import reference_text  # noqa: E402

SCRIPT = ROOT / "scripts" / "make_reference.py"


def test_generated_pages_are_current() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_stale_page_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_reference, "ROOT", tmp_path)
    place = tmp_path / "docs" / "reference" / "commands.md"
    monkeypatch.setattr(make_reference, "files", lambda: {place: "new"})
    assert make_reference.main(["--check"]) == 1
    assert make_reference.main([]) == 0
    assert place.read_text() == "new"
    assert make_reference.main(["--check"]) == 0


def test_text_between_markers_is_replaced_and_the_rest_stays() -> None:
    text = "a\n<!-- commands -->\nold\n<!-- end -->\nb\n"
    assert make_reference.filled(text, {"commands": "new"}) == "a\n<!-- commands -->\nnew\n<!-- end -->\nb\n"


def test_missing_marker_is_an_error() -> None:
    with pytest.raises(ValueError, match="no marker <!-- commands -->"):
        make_reference.filled("<!-- command -->\n<!-- end -->", {"commands": "new"})


def test_bars_do_not_break_a_table() -> None:
    assert reference_text.table(("a",), [("x | y",)]).splitlines()[-1] == "| x &#124; y |"


@pytest.mark.parametrize("name", names())
def test_example_of_every_transform_is_a_valid_step(name: str) -> None:
    (values,) = yaml.safe_load(entry(name).example)[0].values()
    find(name)(**(values or {}))


def test_every_constant_and_code_of_the_tables_is_explained() -> None:
    pages = reference_pages.pages()
    for name in ("build-folder.md", "exit-codes.md", "reasons.md", "checks.md", "recipe.md"):
        rows = [line for line in pages[name].splitlines() if line.startswith("| `")]
        assert len(rows) > 5
        assert [row for row in rows if re.search(r"\|\s*\|", row)] == []


def test_every_file_of_a_build_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAKIT_STORE", str(tmp_path / "store"))
    recipe = dk.load(ROOT / "recipes" / "ecom_v1.yaml", ["serve.gpus=1"])
    made = dk.build(recipe, options=dk.Options(out=tmp_path / "build"), card=False)
    described = set(re.findall(r"`([\w.]+)`", reference_pages.build_folder()))
    files = {path.name for path in made.folder.iterdir()}
    assert {"serve.sh", "train.yaml", "check.json"} <= files
    data = {f"ecom_v1_{split}.json" for split in ("train", "val", "general")}  # described by their emitter
    assert files - described - data == set()


# reasons

CALLS = {
    "Rejected",
    "Retry",
    "ImageProblem",
    "ImageFault",
    "DialogueFault",
    "Fault",
    "Reject",
    "RowFault",
    "reject_rows",
}
FATES = {"again", "adapt", "reject", "stop", "retry"}
NOT_OF_RECORDS = {
    *("key", "account", "model", "address", "proxy"),  # the whole build stops
    *(
        "response_format",
        "stream_options",
        "stream",
        "max_tokens",
        "temperature",
        "logprobs",
    ),  # the request is adapted
}
SERVING = ROOT / "datakit" / "serving"
WORD = re.compile(r"[a-z]+(_[a-z]+)*")


def reasons_in_the_code() -> Iterator[str]:
    """The words that calls which make a reject are given."""
    for path in (ROOT / "datakit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) in CALLS:
                values = [*node.args, *(word.value for word in node.keywords if word.arg == "reason")]
                constants = [value.value for value in values if isinstance(value, ast.Constant)]
                yield from (word for word in constants if isinstance(word, str) and WORD.fullmatch(word))


def _name(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def test_every_reason_in_the_code_is_explained() -> None:
    words = set(reasons_in_the_code()) - FATES - NOT_OF_RECORDS
    assert len(words) > 40
    assert words - REJECTED.keys() - RETRIED.keys() == set()


def test_every_explained_reason_is_in_the_code() -> None:
    code = "".join(
        path.read_text("utf-8") for path in (ROOT / "datakit").rglob("*.py") if path.name != "reasons.py"
    )
    made = {"label_not_text", "text_not_text"}  # composed of a column's name
    assert '_not_text"' in code
    words = (REJECTED.keys() | RETRIED.keys()) - made
    assert sorted(word for word in words if not re.search(rf'["}}]{word}"', code)) == []


def test_reasons_that_docstrings_and_golden_files_name_are_explained() -> None:
    found = set()
    for name in names():
        for sentence in re.findall(
            r"Reasons? of rejection: (.*?)(?:\.\s|\.$)", find(name).__doc__ or "", re.S
        ):
            found |= set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", sentence)) - {"image_folder"}
    for path in (ROOT / "tests" / "golden").glob("*.json"):
        text = path.read_text("utf-8")
        found |= set(re.findall(r'"reason": "([a-z_]+)"', text)) if "rejects" in json.loads(text) else set()
    assert len(found) > 10
    assert {word for word in found if word not in REJECTED and "`" not in word} - COLUMNS == set()


COLUMNS = {"max_chars", "max_reject_rate", "source_line", "min_side_px", "max_ratio"}
"""Words with an underline in those sentences that are no reasons."""


# decisions


def test_decisions_stand_by_area_and_in_their_order() -> None:
    first = "## 2026-11-24: a\nArea: store\nContext: x.\nChoice: y."
    text = f"# Decisions\n\n{first}\n\n## 2026-11-25 b\nArea: ocr\nz\n"
    page = decision_page.page(text)
    assert page.index("## The result store") < page.index("### A {") < page.index("## Pictures and OCR")
    assert "**Context.** X.\n\n**Choice.** Y." in page
    assert page.endswith("- 2026-11-24 [A](#decision-1)\n- 2026-11-25 [B](#decision-2)\n")


def test_decision_without_area_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"no area under b\. Write `Area: <name>`"):
        decision_page.page("## 2026-11-24 a\nArea: store\nx\n\n## 2026-11-25 b\nContext: y\n")


def test_contributing_lists_the_areas_of_decisions() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text.partition("| area |")[2], re.MULTILINE)) == {
        area: name[0].lower() + name[1:] for area, name in decision_page.AREAS.items()
    }


# the verdict


def test_guide_to_the_verdict_has_every_kind_and_says_which_fail() -> None:
    guide = (ROOT / "docs" / "how-to" / "read-the-verdict.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*`) \|", guide, re.MULTILINE)
    assert [kind for row in rows for kind in re.findall(r"`(\w+)`", row)] == list(KINDS)
    failing = [name for name, kind in KINDS.items() if kind.fails]
    assert list(KINDS)[: len(failing)] == failing
    assert f"`{failing[0]}` to `{failing[-1]}` fail, the others warn." in guide
