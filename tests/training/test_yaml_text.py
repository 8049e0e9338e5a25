"""train.yaml as text: one line a value, whatever its length, and the same values for YAML."""

from __future__ import annotations

import yaml

from datakit.training.yaml_text import train_text

LONG = "/data/" + "a-very-long-name-of-a-folder/" * 8 + "模型 7B"


def test_a_long_value_stays_on_the_line_of_its_key() -> None:
    text = train_text(("a head",), {"model_name_or_path": LONG, "output_dir": LONG, "stage": "sft"}, {})
    assert f"model_name_or_path: {LONG}" in text.splitlines()
    assert f"output_dir: {LONG}" in text.splitlines()
    assert yaml.safe_load(text) == {"model_name_or_path": LONG, "output_dir": LONG, "stage": "sft"}
