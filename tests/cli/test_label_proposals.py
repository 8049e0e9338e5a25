"""`datakit labels propose`: what is proposed, that prompts still fit, and that nothing is written unasked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import write
from datakit.cli import label_proposals
from datakit.library import build
from tests.support.evaluated_builds import answers

Run = Callable[..., Any]
LABELS = """\
# Labels of a small shop.
labels:
  - name: 购物车页面   # the basket
    description: 勾选商品
    confusable_with: [退款页面]
  - {name: 退款页面, description: '钱退回来'}
  - name: 聊天页面
"""
TEXTS = {
    "购物车页面": "购物车({n})\n全选\n合计：¥{n}\n结算({n})\n拾味优品店",
    "退款页面": "退款详情\n退款金额 ¥{n}\n钱款去向\n退款编号 88{n}\n王建国",
    "聊天页面": "客服小{n}\n您好\n请输入消息\n发送",
}
RECIPE = """\
name: shop
labels: ../labels.yaml
steps:
  - read.jsonl: {{path: ../rows.jsonl, label: label}}
  - curate.split: {{val: 0.4, stratify: label}}
  - render.chat: {{prompt: ask.j2, answer: label_only, max_chars: {most}, shrink: [ocr_text]}}
emit: [llamafactory]
"""


def made(project: Path, labels: str = LABELS, most: int = 400) -> BuildFolder:
    """A real build of eight records of each class, and answers that take every refund for a basket."""
    rows = [
        {"id": f"{name}-{at}", "label": name, "text": f"第{at}张", "ocr_text": text.format(n=at)}
        for name, text in TEXTS.items()
        for at in range(8)
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (project / "rows.jsonl").write_text(lines, "utf-8")
    (project / "labels.yaml").write_text(labels, "utf-8", newline="")
    (project / "templates" / "ask.j2").write_text(
        "{{ label_json }}\n{{ text }} {{ ocr_text }}\n类别？", "utf-8"
    )
    (project / "recipes" / "shop.yaml").write_text(RECIPE.format(most=most), "utf-8")
    folder = BuildFolder.open(build(project / "recipes" / "shop.yaml", card=False).folder)
    write(
        project / "answers.jsonl",
        answers(folder.path, lambda _, label, __: "购物车页面" if label == "退款页面" else label),
    )
    return folder


def told(datakit: Run, project: Path, *args: object) -> dict[str, Any]:
    done = datakit(
        "labels",
        "propose",
        project / "build/shop",
        "--predictions",
        project / "answers.jsonl",
        *args,
        "--json",
    )
    assert (done.code, done.err) == (0, "")
    document: dict[str, Any] = json.loads(done.out)
    return document


def test_words_of_the_screens_are_proposed_and_no_content_of_theirs(datakit: Run, project: Path) -> None:
    made(project)
    document = told(datakit, project)
    by_label = {own["label"]: own for own in document["proposals"]}
    assert set(by_label) == {"购物车页面", "退款页面"}
    assert by_label["购物车页面"]["added"].startswith("与「退款页面」不同，本类画面常见“")
    assert by_label["退款页面"]["confusable"] == ["购物车页面"]
    assert {word["word"] for own in by_label.values() for word in own["words"]} <= {
        *("购物车", "全选", "合计", "结算", "退款详情", "退款金额", "钱款去向", "退款编号")
    }
    assert (by_label["退款页面"]["mistakes"], document["written"]) == (3, None)


def test_nothing_is_written_without_being_asked(datakit: Run, project: Path) -> None:
    made(project)
    told(datakit, project)
    assert (project / "labels.yaml").read_text("utf-8") == LABELS


def test_an_accepted_proposal_is_written_after_its_diff_and_all_else_stays(
    datakit: Run, project: Path
) -> None:
    made(project)
    own = next(own for own in told(datakit, project)["proposals"] if own["label"] == "退款页面")
    done = datakit(
        *("labels", "propose", project / "build/shop", "--predictions", project / "answers.jsonl"),
        *("--accept", own["id"]),
    )
    wanted = LABELS.replace(
        "{name: 退款页面, description: '钱退回来'}",
        f"{{name: 退款页面, confusable_with: [购物车页面], description: '钱退回来；{own['added']}'}}",
    )
    assert (project / "labels.yaml").read_text("utf-8") == wanted
    assert done.out.index("+++ b/labels.yaml") < done.out.index("Written: ")
    assert "1 proposal. Build again: datakit build recipes/shop.yaml" in done.out


def test_the_prompts_that_are_told_are_those_of_the_build_that_comes(datakit: Run, project: Path) -> None:
    before = made(project).main.collect()
    document = told(datakit, project, "--accept", "all")
    after = BuildFolder.open(build(project / "recipes/shop.yaml", card=False).folder).main.collect()
    prompts = document["prompts"]
    assert prompts["before"]["longest"] == before["prompt_chars"].max()
    assert prompts["after"]["longest"] == after["prompt_chars"].max()
    assert prompts["after"]["longest"] > prompts["before"]["longest"]
    assert prompts["after"]["prompts"] == 24


def test_proposals_with_which_prompts_would_be_too_long_are_named_and_not_written(
    datakit: Run, project: Path
) -> None:
    made(project, most=95)
    document = told(datakit, project)
    blocked = [own["id"] for own in document["proposals"] if not own["fits"]]
    assert blocked
    assert document["prompts"]["after"]["too_long"] == 0
    done = datakit(
        *("labels", "propose", project / "build/shop", "--predictions", project / "answers.jsonl"),
        *("--accept", blocked[0]),
    )
    assert done.code == 2
    assert "some prompts would be too long" in done.err
    assert (project / "labels.yaml").read_text("utf-8") == LABELS


def test_a_full_description_is_told(datakit: Run, project: Path) -> None:
    made(project, LABELS.replace("勾选商品", "勾选商品" * 29), most=900)
    document = told(datakit, project)
    assert [own["label"] for own in document["no_room"]] == ["购物车页面"]


@pytest.mark.fault(
    "the label file, a template or the recipe is edited after the build that proposals are made of",
    "proposals are shown and none is written",
    kind="inputs changed",
)
@pytest.mark.parametrize("name", ["labels.yaml", "templates/ask.j2", "recipes/shop.yaml"])
def test_a_stale_build_writes_nothing(datakit: Run, project: Path, name: str) -> None:
    made(project)
    path = project / name
    path.write_text(path.read_text("utf-8").replace("类别？", "类？").replace("0.4", "0.3") + "\n\n", "utf-8")
    if name == "labels.yaml":
        path.write_text("# mine\n" + LABELS, "utf-8")
    kept = (project / "labels.yaml").read_bytes()
    done = datakit(
        *("labels", "propose", project / "build/shop", "--predictions", project / "answers.jsonl"),
        *("--accept", "all"),
    )
    assert done.code == 2
    assert "propose again" in done.err
    assert (project / "labels.yaml").read_bytes() == kept


def test_an_id_of_another_proposal_is_refused_with_those_that_there_are(datakit: Run, project: Path) -> None:
    made(project)
    done = datakit("labels", "propose", project / "build/shop", "--accept", "zzzzzz")
    assert done.code == 2
    assert "there is no proposal zzzzzz" in done.err


def test_each_is_asked_about_at_a_terminal(
    datakit: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(project)
    given = iter(["n", "y"])
    monkeypatch.setattr(label_proposals.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(label_proposals.click, "prompt", lambda *args, **more: next(given))
    done = datakit(
        *("labels", "propose", project / "build/shop", "--predictions", project / "answers.jsonl", "--write")
    )
    assert done.code == 0
    text = (project / "labels.yaml").read_text("utf-8")
    assert text.count("不同，本类画面常见") == 1
    assert text.startswith("# Labels of a small shop.\n")


def test_without_a_terminal_nobody_is_asked(datakit: Run, project: Path) -> None:
    made(project)
    done = datakit(
        *("labels", "propose", project / "build/shop", "--predictions", project / "answers.jsonl", "--write")
    )
    assert done.code == 2
    assert "--accept ID" in done.err
    assert datakit("labels", "propose", project / "build/shop", "--write", "--accept", "a").code == 2


def test_without_mistakes_there_is_nothing_to_propose(datakit: Run, project: Path) -> None:
    made(project)
    done = datakit("labels", "propose", project / "build/shop")
    assert done.code == 0
    assert "nothing was scored yet" in done.out
    assert "Proposals: none" in done.out


TASKS = """\
name: shop
steps:
  - task:
      name: screens
      labels: ../labels.yaml
      steps:
        - read.jsonl: {path: ../rows.jsonl, label: label}
        - render.chat: {prompt: ask.j2, answer: label_only, max_chars: 400, shrink: [ocr_text]}
  - task:
      name: moods
      labels: ../moods.yaml
      steps:
        - read.jsonl: {path: ../moods.jsonl, label: label}
        - render.chat: {prompt: ask.j2, answer: label_only, max_chars: 400, shrink: [ocr_text]}
  - curate.split: {val: 0.4, stratify: label}
emit: [llamafactory]
"""


def test_the_label_file_of_a_task_is_proposed_for_and_written(datakit: Run, project: Path) -> None:
    made(project)
    (project / "moods.yaml").write_text("labels: [平静, 生气]\n", "utf-8")
    names = ("平静", "生气") * 4
    rows = [{"id": f"m{at}", "label": name, "text": "一句", "ocr_text": "x"} for at, name in enumerate(names)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (project / "moods.jsonl").write_text(lines, "utf-8")
    (project / "recipes" / "shop.yaml").write_text(TASKS, "utf-8")
    folder = BuildFolder.open(build(project / "recipes" / "shop.yaml", card=False).folder)
    words = ["labels", "propose", folder.path, "--predictions", project / "answers.jsonl"]
    missing = datakit(*words)
    assert missing.code == 2
    assert "--task screens" in missing.err
    own = folder.tasks[0]
    write(project / "answers.jsonl", answers(own.path, lambda _, label, __: "购物车页面"))
    done = datakit(*words, "--task", "screens", "--accept", "all")
    assert done.code == 0, done.err
    assert "prompts, the longest" in done.out
    assert f"Written: {project / 'labels.yaml'}" in done.out
    assert "# the basket" in (project / "labels.yaml").read_text("utf-8")
    assert (project / "labels.yaml").read_text("utf-8") != LABELS


def test_the_next_step_of_an_audit_names_the_task(datakit: Run, project: Path) -> None:
    made(project)
    (project / "moods.yaml").write_text("labels: [平静, 生气]\n", "utf-8")
    row = {"id": "m", "label": "平静", "text": "一句", "ocr_text": "x"}
    (project / "moods.jsonl").write_text(json.dumps(row, ensure_ascii=False), "utf-8")
    (project / "recipes" / "shop.yaml").write_text(TASKS, "utf-8")
    folder = BuildFolder.open(build(project / "recipes" / "shop.yaml", card=False).folder)
    done = datakit("labels", "audit", folder.path, "--task", "screens")
    assert f"look again: datakit labels audit {folder.path} --task screens" in done.out


def test_what_is_odd_about_the_answers_is_told(datakit: Run, project: Path) -> None:
    made(project)
    path = project / "answers.jsonl"
    first = json.loads(path.read_text("utf-8").splitlines()[0])
    other = "退款页面" if first["predicted"] != "退款页面" else "购物车页面"
    more = [{"id": "ghost", "predicted": other}, {**first, "predicted": other}]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in more)
    notes = told(datakit, project)["notes"]
    assert any("not in the build: ghost" in note for note in notes), notes
    assert any("have different answers" in note and first["id"] in note for note in notes), notes
    words = ("labels", "propose", project / "build/shop", "--predictions", path)
    assert "Note: 1 have different answers in the file" in datakit(*words).out
