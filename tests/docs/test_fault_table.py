"""SECURITY.md: every marker of a fault is a row, every row names a test, and every threat has rows."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import fault_table  # noqa: E402 (its folder is no package)

TEXT = (ROOT / "SECURITY.md").read_text("utf-8")
ROWS = re.compile(r"^\| (.+) \| (.+) \| `(tests/[\w/]+\.py::[\w:]+)` \|$", re.MULTILINE)
GOOD = '@pytest.mark.fault("a key leaks", "it is masked", kind="secrets")\n'


def written(tmp_path: Path, text: str) -> Path:
    """A folder of tests with one file."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_it.py").write_text(text, "utf-8")
    return folder


def slug(heading: str) -> str:
    """The fragment that GitHub and the site make of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_markers_are_read_in_their_order_with_the_tests_that_they_stand_above(tmp_path: Path) -> None:
    text = (
        f"{GOOD}@pytest.mark.parametrize('x', [1])\n"
        "@pytest.mark.fault('a' ' b', 'c', kind='store')\ndef test_a(x): ...\n\n"
        "class TestB:\n    @pytest.mark.fault('d', 'e', kind='bounds')\n    async def test_b(self): ...\n"
    )
    assert fault_table.faults(written(tmp_path, text)) == [
        fault_table.Fault("secrets", "a key leaks", "it is masked", "tests/test_it.py::test_a"),
        fault_table.Fault("store", "a b", "c", "tests/test_it.py::test_a"),
        fault_table.Fault("bounds", "d", "e", "tests/test_it.py::TestB::test_b"),
    ]


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("@pytest.mark.fault('a', 'b')", "test_it.py:1: kind= is missing"),
        ("@pytest.mark.fault('a', kind='store')", "it takes two texts"),
        ("@pytest.mark.fault", "it takes two texts"),
        ("@pytest.mark.fault('a', 'b', kind='stores')", "there is no kind 'stores'"),
        ("@pytest.mark.fault('a', '', kind='store')", "not be empty"),
        ("@pytest.mark.fault(A, 'b', kind='store')", "must be written out"),
        ("@pytest.mark.fault('a\\nb', 'b', kind='store')", "in one line"),
    ],
)
def test_marker_that_cannot_be_read_is_named_with_its_line_and_the_form(
    marker: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        fault_table.faults(written(tmp_path, f"{marker}\ndef test_a(): ...\n"))
    assert "kind: store, folders, " in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "pytestmark = pytest.mark.fault('a', 'b', kind='store')\n",
        f"{GOOD}def help_me(): ...\n",
        "@mark.fault('a', 'b', kind='store')\nclass TestA: ...\n",
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.fault('a', 'b', kind='store'))])\n"
        "def test_a(x): ...\n",
    ],
)
def test_marker_elsewhere_than_above_a_test_is_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"test_it\.py:1: it does not stand above a test"):
        fault_table.faults(written(tmp_path, text))


def test_table_without_a_row_for_a_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="no test is marked with kind='store'"):
        fault_table.fault_table([])


def test_every_marker_is_a_row_and_every_row_a_test() -> None:
    marked = fault_table.faults(ROOT / "tests")
    assert len(marked) > 80
    rows = ROWS.findall(TEXT.partition("<!-- faults -->")[2])
    assert sorted(test for _, _, test in rows) == sorted(fault.test for fault in marked)
    for test in {test for _, _, test in rows}:
        path, *_, name = test.split("::")
        assert re.search(rf"^\s*(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), test


def test_no_row_stands_twice() -> None:
    marked = fault_table.faults(ROOT / "tests")
    assert len({(fault.fault, fault.outcome, fault.kind) for fault in marked}) == len(marked)


def test_every_threat_has_rows_and_every_kind_of_rows_a_threat() -> None:
    threats = re.findall(
        r"^\| (.+) \|$", TEXT.partition("## Who is not\n")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert len(threats) > 8
    linked = [set(re.findall(r"\]\(#([\w-]+)\)", threat.rpartition(" | ")[2])) for threat in threats[2:]]
    assert all(linked)
    assert set().union(*linked) == {slug(title) for title in fault_table.KINDS.values()}
    filled = {slug(fault_table.KINDS[fault.kind]) for fault in fault_table.faults(ROOT / "tests")}
    assert set().union(*linked) == filled


def test_page_of_the_site_leads_where_the_document_leads() -> None:
    page = fault_table.page("[a](#b) [c](docs/reference/licences.md#d)")
    assert page.endswith("[a](#b) [c](../reference/licences.md#d)")
    with pytest.raises(ValueError, match=r"links to README\.md"):
        fault_table.page("[a](README.md)")


def test_documents_lead_to_it() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        assert "[SECURITY.md](SECURITY.md)" in (ROOT / name).read_text("utf-8")
    assert "(explanation/security.md)" in (ROOT / "docs" / "index.md").read_text("utf-8")


def test_reports_go_to_a_private_place_that_is_named_without_an_address() -> None:
    report = TEXT.partition("## Report a fault\n")[2].partition("\n## ")[0]
    assert "*Report a vulnerability*" in report
    assert not re.search(r"https?://|\w@\w", TEXT.partition("<!-- faults -->")[0])
