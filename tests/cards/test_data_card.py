"""The card as files: structure, escapes, the same bytes again, nothing from outside or of this machine."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from datakit.cards.write import write_card
from datakit.core.errors import UserError
from tests.support.card_builds import OFFLINE, ROOT, Draft, ecom
from tests.support.drawn_once import forget

SECTIONS = [
    "Verdict",
    "This version",
    "Parts",
    "Intended use and limits",
    "Gallery",
    "Worst of each kind",
    "Classes",
    "Prompts",
    "Check",
    "Pictures",
    "OCR text",
    "Written texts",
    "Duplicates",
    "Left out",
    "Sources and licences",
    "How it was made",
    "Spend",
    "Use it",
    "Make it again",
]
PLOTS = ["classes", "gallery", "look-alikes-of-one-another", "ocr-text", "prompt-length", "reason-similarity"]
FILES = 2 + len(PLOTS) + 1
"""Both pages, the plots and croissant.json."""
HOSTILE = "a|b<script>alert(1)</script>\n`c`*d*&\"'$x$"


class Page(HTMLParser):
    """What a browser would make of a page: tags, addresses that it loads, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "input", "link", "br"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "action"):
                self.loads.append(value or "")
            if name in ("href", "xlink:href"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the card of a whole build."""
    project = tmp_path_factory.mktemp("project")
    write_card(ecom(project).write(), project / "data_cards")
    return project / "data_cards"


def markdown(folder: Path, name: str = "ecom_v3") -> str:
    return (folder / f"{name}.md").read_text("utf-8")


def page(folder: Path, name: str = "ecom_v3") -> str:
    return (folder / f"{name}.html").read_text("utf-8")


def headings(text: str) -> list[str]:
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^## (.+)$", outside, flags=re.MULTILINE)


def section(text: str, title: str) -> str:
    return re.split(r"^## ", text.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_a_whole_build_has_every_section_in_both_files(whole: Path) -> None:
    assert headings(markdown(whole)) == SECTIONS
    assert re.findall(r"<h2>(.+)</h2>", page(whole)) == SECTIONS
    assert sorted(path.stem for path in (whole / "ecom_v3").glob("*.svg")) == PLOTS
    for name in PLOTS:
        assert f"](ecom_v3/{name}.svg)" in markdown(whole)


def test_notes_of_the_steps_are_names_with_values(whole: Path) -> None:
    assert "- mix.general: source: read.alpaca; added: 20; left out: too long 3\n" in markdown(whole)


def test_long_commands_of_the_verdict_wrap_between_words_on_the_page(whole: Path) -> None:
    command = re.search(r'<td[^>]* class="commands"><code>(.*?)</code>', page(whole))
    assert command is not None
    words = re.findall(r"<span>([^<]*)</span>", command[1])
    assert words[:2] == ["datakit", "verdict"]
    assert "--kind" in words  # which a browser would break behind its first hyphen
    assert "td.commands code span { display: inline-block;" in page(whole)
    assert "td.commands code { white-space: normal; overflow-wrap: anywhere; }" in page(whole).replace(
        "td.prose code, ", ""
    )


def test_sentences_of_the_page_have_no_marks_of_markdown(whole: Path) -> None:
    paragraphs = re.findall(r"<(?:p|li|td)(?: class=\"prose\")?>([^<]*)<", page(whole))
    assert len(paragraphs) > 50
    assert [text for text in paragraphs if "`" in text] == []


def test_paths_of_all_written_files_are_returned(tmp_path: Path) -> None:
    written = write_card(ecom(tmp_path).write(), tmp_path / "cards")
    assert sorted(written) == sorted(path for path in (tmp_path / "cards").rglob("*") if path.is_file())
    assert written[:2] == [tmp_path / "cards" / "ecom_v3.md", tmp_path / "cards" / "ecom_v3.html"]


def test_notices_stand_before_everything_else(whole: Path) -> None:
    body = markdown(whole).split("\n---\n", 1)[1]
    assert body.split("\n\n")[1].splitlines()[0] == f"> **Note.** {OFFLINE}"
    assert body.index(OFFLINE) < body.index("is a data set")
    shown = page(whole)
    assert shown.index(OFFLINE) < shown.index('class="lead"') < shown.index("<h2>")


def test_front_matter_is_yaml_as_the_hub_reads_it(whole: Path) -> None:
    head = markdown(whole).split("---\n")[1]
    front = yaml.safe_load(head)
    assert front["language"] == ["zh"]
    assert front["license"] == "other"
    assert front["task_categories"] == ["image-classification", "image-text-to-text"]
    assert front["size_categories"] == ["n<1K"]
    assert "placeholder-texts" in front["tags"]
    files = {entry["split"]: entry["path"] for entry in front["configs"][0]["data_files"]}
    assert files == {
        "train": "ecom_v3_train.json",
        "validation": "ecom_v3_val.json",
        "general": "ecom_v3_general.json",
    }


def test_figures_of_the_flow_and_the_classes_are_those_of_the_build(whole: Path) -> None:
    text = markdown(whole)
    assert (
        "126 training records (137 rows with repeats), 14 validation records and 20 general records" in text
    )
    assert "| 2 | `guard.image` | 143 | 0 | 3 | 0 | 140 |" in text
    assert "| 10 | `annotate.reason` | 140 | 0 | 0 | 0 | 140 | 140 | 182,000 | 21,000 | 0.0391 |" in text
    assert "| 个人信息页面 | 1 | 3 | 0 | “我的”主页或个人资料" in text
    assert "| `mix.general` | licence | CC-BY-4.0 |" in text
    assert "| `screen-0141` | `train.jsonl:141` | `image_truncated` |" in text
    assert "15 prompts were shortened" in text
    assert "| ocr_text cut | 15 |" in text
    assert "The recipe allows 2,400 characters" in text
    assert "| reason | offline writer | 140 |" in text
    assert "No such group is torn" in text
    assert "| `reason_flags` | `too_similar` | 6 |" in text


def test_two_writes_are_equal_to_the_byte(tmp_path: Path) -> None:
    build = ecom(tmp_path).write()
    first = {path.name: path.read_bytes() for path in write_card(build, tmp_path / "one")}
    forget()
    second = {path.name: path.read_bytes() for path in write_card(build, tmp_path / "two")}
    assert first == second
    assert len(first) == FILES


def test_seconds_and_stored_answers_do_not_change_the_card(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    one = draft.write()
    before = [path.read_bytes() for path in write_card(one, tmp_path / "cards")]
    for step in draft.steps:
        step.seconds, step.cached, step.new = step.seconds * 3, step.cached + step.new, 0
    draft.project = tmp_path / "again"
    draft.project.mkdir()
    (draft.project / "templates").symlink_to(tmp_path / "templates")
    assert [path.read_bytes() for path in write_card(draft.write(), tmp_path / "cards2")] == before


@pytest.mark.fault(
    "a card is opened in a browser",
    "it loads nothing from elsewhere, and no script runs but the page's own",
    kind="pages",
)
def test_page_loads_nothing_and_runs_nothing_but_its_own_script(whole: Path) -> None:
    text = page(whole)
    found = Page(text)
    assert not found.open
    assert not {"link", "iframe", "object", "embed", "form"} & set(found.tags)
    assert found.tags.count("script") == 1
    script = re.search(r"<script>(.*)</script>", text, flags=re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert f'content="{policy}"' in html.unescape(text)
    assert len(found.loads) >= 25
    assert all(address.startswith("data:image/webp;base64,") for address in found.loads)
    assert len(found.loads) == len(set(found.loads)), "a picture is in the page once"
    assert all(address.startswith("#") for address in found.links)
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)


def test_plots_are_xml_with_text_as_text(whole: Path) -> None:
    plots = sorted((whole / "ecom_v3").glob("*.svg"))
    assert len(plots) == len(PLOTS)
    for path in plots:
        root = ElementTree.fromstring(path.read_bytes())
        words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert len(words) > 3
        assert "metadata" not in {element.tag.rpartition("}")[2] for element in root.iter()}
        text = path.read_text("utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/)", text)
    classes = ElementTree.fromstring((whole / "ecom_v3" / "classes.svg").read_bytes())
    assert "优惠券领取页面" in {element.text for element in classes.iter("{http://www.w3.org/2000/svg}text")}


@pytest.mark.fault("paths of the user's machine", "stand on no card", kind="secrets")
def test_no_path_of_this_machine_stands_in_a_card(whole: Path, tmp_path: Path) -> None:
    written = [path.read_text("utf-8") for path in whole.rglob("*.*") if path.is_file()]
    assert len(written) == FILES
    for text in written:
        assert str(ROOT) not in text
        assert str(whole.parent) not in text
        assert str(Path.home()) + "/" not in text
    assert "cannot use 0141.jpg: see the reason" in markdown(whole)


def test_prompt_is_exact_and_what_all_share_stands_once(whole: Path) -> None:
    text = markdown(whole)
    for written in (text, html.unescape(page(whole))):
        assert len(re.findall(r"<summary>constant part of these prompts", written)) == 1
        assert written.count("<image>你是电商图片方面的专家。\n类别与说明：\n{") == 1
    shown = section(text, "Gallery")
    assert "与说明：\n```" not in shown, "the constant part goes on with the labels"
    assert "[constant part of these prompts, above]" in shown
    assert "\n类别：优惠券领取页面\n```" in shown
    assert shown.count("- part: training") == 25
    assert shown.count("- part: general data") == 1


def hostile(project: Path) -> Draft:
    draft = ecom(project)
    label = draft.records[0]["label"]
    for record in draft.records:
        if record["label"] == label:
            record["label"] = HOSTILE
            record["messages"][1]["content"] = f"理由：{HOSTILE}\n```\n# x\n```\n类别：{HOSTILE}"
    draft.rejects[0] |= {
        "id": HOSTILE,
        "detail": HOSTILE,
        "reason": "image|odd",
        "source_file": f"/x/{HOSTILE}",
    }
    draft.notes.append(HOSTILE)
    draft.steps[2].notes = {"warnings": [HOSTILE], "licence": HOSTILE, "key|<b>": HOSTILE}
    return draft


@pytest.mark.fault(
    "labels, ids, answers and notes hold HTML",
    "they are shown as text; no tag comes of them",
    kind="pages",
)
def test_texts_of_the_data_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    write_card(hostile(tmp_path).write(), tmp_path / "cards")
    found = Page(page(tmp_path / "cards"))
    assert not found.open
    assert found.tags.count("script") == 1
    assert len(re.findall(r"<script", page(tmp_path / "cards"))) == 1
    assert "a|b<script>alert(1)</script>" in "".join(found.words)
    svg = (tmp_path / "cards" / "ecom_v3" / "classes.svg").read_bytes()
    names = [
        element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert any(name.startswith("a|b<script>alert(1)") for name in names)


@pytest.mark.fault(
    "labels, ids, answers and notes hold Markdown, fences and bars",
    "headings and tables stay as they are",
    kind="pages",
)
def test_hostile_texts_do_not_break_markdown(tmp_path: Path) -> None:
    write_card(hostile(tmp_path).write(), tmp_path / "cards")
    text = markdown(tmp_path / "cards")
    assert headings(text) == SECTIONS
    prose = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in prose
    tables = re.findall(r"(?:^\|.*\|\n)+", prose, flags=re.MULTILINE)
    assert len(tables) >= 10
    for table in tables:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table
    assert r"a\|b&lt;script&gt;alert(1)&lt;/script&gt; \`c\`\*d\*&amp;" in prose
    assert "````" in text  # a fence longer than the one in the answer


def test_folder_without_a_finished_build_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no finished build: report\.json is missing"):
        write_card(tmp_path, tmp_path / "cards")


def test_plots_that_a_build_lost_are_removed_and_pictures_of_others_stay(tmp_path: Path) -> None:
    cards, build = tmp_path / "cards" / "ecom_v3", ecom(tmp_path).write()
    write_card(build, tmp_path / "cards")
    (cards / "left-over.svg").write_bytes((cards / "classes.svg").read_bytes())
    (cards / "logo.svg").write_text("<svg><!-- drawn by hand --></svg>")
    write_card(build, tmp_path / "cards")
    assert not (cards / "left-over.svg").exists()
    assert "drawn by hand" in (cards / "logo.svg").read_text()


@pytest.mark.fault("somebody edited a card or a page", "the edited one is kept", kind="folders")
@pytest.mark.parametrize("name", ["ecom_v3.md", "ecom_v3.html", "ecom_v3/classes.svg"])
def test_page_that_somebody_made_or_edited_is_kept(tmp_path: Path, name: str) -> None:
    path, build = tmp_path / "cards" / name, ecom(tmp_path).write()
    kept: dict[Path, Path] = {}
    path.parent.mkdir(parents=True)
    path.write_text("# My notes about datakit\n")
    write_card(build, tmp_path / "cards", kept.__setitem__)
    assert [(old, now.read_text()) for old, now in kept.items()] == [(path, "# My notes about datakit\n")]
    kept.clear()
    write_card(build, tmp_path / "cards", kept.__setitem__)
    assert kept == {}, "its own pages it writes over"
    edited = path.read_text() + "checked by me\n"
    path.write_text(edited)
    write_card(build, tmp_path / "cards", kept.__setitem__)
    assert [now.read_text() for now in kept.values()] == [edited]
    path.write_text(edited)
    with pytest.warns(UserWarning, match="was not as datakit wrote it"):
        write_card(build, tmp_path / "cards")
