"""render.chat: whatever a template is put together of, its prompts are those of plain Jinja."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import DictLoader, Environment, StrictUndefined

from datakit.core.step_context import StepContext
from datakit.core.template_filters import FILTERS
from datakit.render._batches import Batches
from datakit.render.chat import Chat
from tests.support.chat_records import LABELS, frame_of, record, write

PLACES = "{% for _ in images %}<image>{% endfor %}"
SEPARATING = (
    *(
        "类别：\n",
        "  \n",
        "{# 说明 #}",
        "{% raw %}{{ a }}{% endraw %}",
        "{{ label_json }}\n",
        "\t{{- label_names -}} ",
    ),
    *("{{ ocr_text }}", " {{- ocr_text -}}\n", "{{ description }}。", "{{ description | quoted }}\n"),
    *("{{ ocr_text | fenced('ocr') }}", "{{ ocr_text | without_status_bar | fenced('ocr') }}\n"),
    *("{{ ocr_text | without_status_bar }}", "{{ ocr_text | without_status_bar | quoted }}"),
)
OTHERS = (
    "{% for line in (ocr_text or '').splitlines() %}{{ loop.index }}{{ line }}\n{% endfor %}",
    "{%- set text = ocr_text or '空' -%}{{ text }}",
    "{{ description | default('无', true) | upper }}",
    "{{ (ocr_text or '')[:3] }}",
    "{{ ocr_text | length if ocr_text else 0 }}",
    "{% if images | length > 1 %}多图\n{% endif %}",
    "{{ nowhere is defined }}",
)
TESTS = (
    *("ocr_text", "not description", "images", "ocr_text and description"),
    *("ocr_text | without_status_bar", "ocr_text | without_status_bar | quoted"),
)
SIGNS = (("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}"), ("  {%", "%}\n"))
BODIES = st.recursive(
    st.sampled_from([*SEPARATING, *OTHERS]) | st.sampled_from(SEPARATING),
    lambda inner: (
        st.lists(inner, max_size=4).map("".join)
        | st.builds(
            lambda sign, test, then, other: (
                f"{sign[0]} if {test} {sign[1]}{then}{sign[0]} else {sign[1]}{other}{sign[0]} endif {sign[1]}"
            ),
            st.sampled_from(SIGNS),
            st.sampled_from(TESTS),
            inner,
            inner,
        )
    ),
    max_leaves=12,
)
TEXTS = st.none() | st.text(st.sampled_from("全选结算 \n}<>1，。:9%"), max_size=20)


def test_prompts_of_drawn_templates_are_those_of_plain_jinja(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "templates").mkdir()
    by_column: set[bool] = set()

    @given(BODIES, st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 3)), min_size=1, max_size=4))
    @settings(max_examples=150, deadline=None)
    def check(body: str, rows: list[tuple[str | None, str | None, int]]) -> None:
        context = StepContext(base=folder, project=folder, labels=LABELS)
        chat = Chat(prompt=write(context, PLACES + body), answer="label_only", max_chars=None)
        records = [
            record(at, ocr_text=ocr, description=said, images=["/a.jpg"] * images)
            for at, (ocr, said, images) in enumerate(rows)
        ]
        frame = frame_of(*records)
        worker = chat.start(context, frame.lazy())
        assert isinstance(worker, Batches)
        by_column.add(worker.plain is not None)
        environment = Environment(
            loader=DictLoader({"drawn": PLACES + body}),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=lambda value: "" if value is None else value,
        )
        environment.filters |= FILTERS
        constant = {"label_json": LABELS.json_block, "label_names": "\n".join(LABELS.names)}
        wanted = [environment.get_template("drawn").render(row | constant) for row in records]
        batch = worker(frame)
        assert batch.rejects == []
        users = [
            next(turn["content"] for turn in chat if turn["role"] == "user")
            for chat in batch.frame["messages"].to_list()
        ]
        assert users == wanted

    check()
    assert by_column == {True, False}  # templates that separate, and others
