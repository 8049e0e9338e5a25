"""A build can be served and scored without its project: labels, templates and the answer's form are in it."""

from __future__ import annotations

import shutil
from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.answer import AnswerFormat
from datakit.core.labels import load_labels
from datakit.core.templates import Templates
from datakit.library import build

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPE = """\
labels: ../templates/ecom/labels.yaml
steps:
  - read.jsonl: {{path: {source}, image: image, label: label}}
  - annotate.reason: {{template: ecom/reason.j2, into: reason}}
  - render.chat: {{prompt: ecom/classify_v1.j2, answer: reason_first}}
emit: [llamafactory]
"""


def small(project: Path) -> Path:
    shutil.copytree(ROOT / "templates" / "ecom", project / "templates" / "ecom")
    (project / "templates" / "ecom" / "reason.j2").write_text("说明{{ label }}的理由。", encoding="utf-8")
    (project / "templates" / "ecom" / "line.j2").write_text("只写一行。\n", encoding="utf-8")
    prompt = project / "templates" / "ecom" / "classify_v1.j2"
    asked = prompt.read_text("utf-8").replace("只回答类别名称，不要解释", "说明理由")
    prompt.write_text(asked + "{% include 'ecom/line.j2' %}", encoding="utf-8")
    path = project / "recipes" / "small.yaml"
    path.write_text(RECIPE.format(source=ROOT / "examples" / "ecom" / "train.jsonl"), encoding="utf-8")
    return path


def test_build_keeps_labels_templates_with_includes_and_the_answers_form(project: Path) -> None:
    folder = build(small(project), card=False).folder
    assert (
        load_labels(folder / "labels.yaml").names == load_labels(project / "templates/ecom/labels.yaml").names
    )
    kept = sorted(path.relative_to(folder).as_posix() for path in (folder / "templates").rglob("*.j2"))
    assert kept == [
        "templates/answer/reason_first.j2",
        "templates/ecom/classify_v1.j2",
        "templates/ecom/line.j2",
        "templates/ecom/reason.j2",
    ]
    form = AnswerFormat.from_json((folder / "answer.json").read_bytes())
    assert form.variables == ("reason", "label")
    again = Templates([folder / "templates"])
    manifest = BuildFolder(folder).manifest
    assert manifest is not None
    assert manifest.templates == {name: again.digest(name) for name in manifest.templates}
    assert set(manifest.templates) == {
        "answer/reason_first.j2",
        "ecom/classify_v1.j2",
        "ecom/reason.j2",
        "ecom/styles.yaml",
    }
    assert {"labels.yaml", "answer.json", "templates/ecom/line.j2"} <= manifest.artifacts.keys()


def test_changed_include_is_a_changed_template(project: Path) -> None:
    recipe = small(project)
    before = BuildFolder(build(recipe, card=False).folder).manifest
    (project / "templates" / "ecom" / "line.j2").write_text("写两行。\n", encoding="utf-8")
    after = BuildFolder(build(recipe, card=False).folder).manifest
    assert before is not None
    assert after is not None
    changed = {name for name, value in after.templates.items() if value != before.templates[name]}
    assert changed == {"ecom/classify_v1.j2"}
