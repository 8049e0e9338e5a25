"""Steps of other packages are on the card, with what they declare, escaped; a faulty one costs no build."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datakit.artifacts.report import StepReport
from datakit.cards.write import write_card
from datakit.core import registry
from datakit.core.plugins import plugins
from tests.support.card_builds import ecom

CODE = '''
from datakit.core.blocks import Bullets, Chart, Code, CodeBlock, Section, Table, Text
from datakit.core.outcome import Table as Records
from datakit.core.transform import TableTransform

HOSTILE = "<script>alert(1)</script> **bold** | `x`"


class Mine(TableTransform):
    """The same records."""

    size: int = 1
    """Anything."""

    def apply(self, frame, context):
        return Records(frame)

    def card_sections(self, account):
        {body}


def whole(build):
    {whole}
'''
SOUND = """rows = account.records.collect().height
        blocks = [
            Text(HOSTILE), Bullets([HOSTILE]), Table([HOSTILE], [[HOSTILE], [Code(HOSTILE)]]),
            CodeBlock("```\\\\n" + HOSTILE, "text\\\\n## Broken"),
            Chart("../../p", HOSTILE, '<svg xmlns="http://www.w3.org/2000/svg"><text>one</text></svg>'),
        ]
        figures = Text(f"{rows} {account.records_in} {self.size}")
        return [Section(HOSTILE, blocks), Section("Figures", [figures])]
""".replace("\\\\n", "\\n")
Install = Callable[..., None]
MAIN = 140
"""Main records of the example."""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package with the step shop.mine and the card section shop, for the length of a test."""
    site = tmp_path / "site"

    def forget() -> None:
        for function in (registry.names, registry.find, plugins):
            function.cache_clear()

    def write(body: str = "return ()", whole: str = "return None") -> None:
        (site / "shop-2.0.dist-info").mkdir(parents=True)
        (site / "shop-2.0.dist-info" / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: shop\nVersion: 2.0\n"
        )
        points = "[datakit.transforms]\nshop.mine = shop_module:Mine\n"
        points += "[datakit.card_sections]\nshop = shop_module:whole\n"
        (site / "shop-2.0.dist-info" / "entry_points.txt").write_text(points)
        code = CODE.replace("{body}", body).replace("{whole}", whole)
        (site / "shop_module.py").write_text(code)
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, "shop_module", raising=False)
        forget()

    yield write
    monkeypatch.undo()
    forget()


SECRETS = {"size": 3, "api_key": "sk-secret", "a|b": "<i>"}
"""As an older version of the package may have taken them."""


def pages(folder: Path, parameters: dict[str, object]) -> tuple[str, str]:
    """Card and page of a build with a step of another package."""
    draft = ecom(folder)
    draft.steps = [
        StepReport(number=1, name="read.jsonl", added=200, records_out=200),
        StepReport(
            number=2,
            name="shop.mine",
            records_in=200,
            records_out=190,
            rejected={"too_dear": 10},
            columns=["price"],
        ),
    ]
    draft.recipe = {"steps": [{"read.jsonl": {"path": "x"}}, {"shop.mine": parameters}]}
    files = {path.suffix: path for path in write_card(draft.write(), draft.project / "cards")}
    return files[".md"].read_text("utf-8"), files[".html"].read_text("utf-8")


def test_step_of_another_package_shows_its_name_parameters_counts_and_columns(
    install: Install, tmp_path: Path
) -> None:
    install()
    for text in pages(tmp_path, SECRETS):
        assert "Step 2: shop.mine" in text
        assert "A step of the package shop 2.0." in text
        assert "200 records in, 0 added, 190 out, 10 rejected, 0 to retry." in text
        assert "10" in text.split("Rejected as")[1].split("\n")[0]
        assert "Columns that it gave: price." in text
        assert "sk-secret" not in text
        assert "These parameters do not fit the installed version" in text
        assert "hidden" in text
    assert "<i>" not in text, "the page, which comes last"


def test_step_whose_package_is_not_installed_is_shown_all_the_same(tmp_path: Path) -> None:
    text, _ = pages(tmp_path, SECRETS)
    assert "Step 2: shop.mine" in text
    assert "a package that is not installed here" in text


def test_declared_sections_are_laid_out_and_escaped(install: Install, tmp_path: Path) -> None:
    install(SOUND, "return Section('Whole', [Text(f'{len(build.columns)} columns ' + HOSTILE)])")
    both = pages(tmp_path, {"size": 3})
    assert "<script>alert" not in both[1]
    for text in both:
        assert f"{MAIN} 200 3" in text
        assert "Whole" in text
        assert "one" in text
    markdown, _ = both
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    assert "**bold**" not in outside
    assert "<script" not in outside
    assert "\n## Broken" not in markdown
    charts = [path for path in (tmp_path / "cards").rglob("*.svg") if "step-2" in path.name]
    assert len(charts) == 1
    assert charts[0].parent.parent == tmp_path / "cards"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("raise KeyError('gone')", "KeyError: 'gone'"),
        ("return ['words']", "it gives 'words' in place of a Section"),
        ("return [Section('A', ['words'])]", "which is no block"),
        (
            "return [Section('A', [Chart('c', 'a', '<svg><script>1</script></svg>')])]",
            "holds more than a drawing",
        ),
        ("return [Section('A', [Chart('c', 'a', '<svg onload=\"x()\"/>')])]", "holds more than a drawing"),
    ],
)
def test_section_that_fails_is_named_on_the_card(
    install: Install, tmp_path: Path, body: str, fault: str
) -> None:
    install(body)
    _, page = pages(tmp_path, {"size": 3})
    plain = page.replace("&#39;", "'").replace("&#34;", '"')
    assert "A section that is missing: plug-in shop 2.0: entry point shop.mine" in plain
    assert fault in plain


def test_card_section_of_a_package_that_fails_is_named_on_the_card(install: Install, tmp_path: Path) -> None:
    install(whole="raise OSError('no disk')")
    _, page = pages(tmp_path, {"size": 3})
    assert "A section that is missing: plug-in shop 2.0: entry point shop " in page
    assert "no disk" in page
