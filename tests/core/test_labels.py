"""Label sets: what reaches prompts, and the JSON of places that have no YAML."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.errors import UserError
from datakit.core.labels import Label, LabelSet, load_labels
from datakit.core.templates import TrustedText

ROOT = Path(__file__).resolve().parents[2]
ECOM = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1))
def test_label_block_has_the_bytes_that_builds_were_made_with(descriptions: dict[str, str]) -> None:
    labels = LabelSet(tuple(Label(name, text) for name, text in descriptions.items()))
    assert labels.json_block.encode() == orjson.dumps(descriptions, option=orjson.OPT_INDENT_2)


def test_templates_get_the_blocks_unescaped_and_the_labels() -> None:
    assert set(ECOM.variables) == {"label_json", "label_names", "labels"}
    assert isinstance(ECOM.variables["label_json"], TrustedText)
    assert ECOM.variables["label_names"].splitlines() == list(ECOM.names)


def test_json_gives_the_same_set_back() -> None:
    back = LabelSet.from_json(ECOM.to_json())
    assert (back.labels, back.digest) == (ECOM.labels, ECOM.digest)
    assert back.variables == ECOM.variables


@pytest.mark.parametrize("text", ["", "[]", '{"labels": 3, "digest": ""}', '{"labels": []}', b"\xff"])
def test_json_of_something_else_is_refused(text: str | bytes) -> None:
    with pytest.raises(UserError, match="no label set"):
        LabelSet.from_json(text)


def test_every_fault_of_a_label_file_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text("labels:\n- {name: a, alias: [x]}\n- {name: a}\n- {name: b, confusable_with: [c]}\n- 3\n")
    with pytest.raises(UserError) as caught:
        load_labels(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    for part in ("Did you mean `aliases`", "a stands twice", "names `c`", "label 4 has no `name`"):
        assert part in text
