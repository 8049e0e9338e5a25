"""`datakit check` says of each record what LLaMA-Factory's own converter, template and processor do with it.

Compared for each record: whether it is kept, dropped or stops the run; the number of input ids and of labels
after the cut; the picture tokens that are left; where a cut answer ends. The trainer's code runs unchanged;
only what it makes of a picture is remembered between two looks at it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.checking.data_set import DataSet
from datakit.checking.images import ImageFiles
from datakit.checking.record import Checker
from datakit.checking.training import Training
from datakit.core.dataset_info import COLUMNS
from datakit.recipe.yaml_file import YamlFile
from tests.support.broken_records import alpaca, pictures, records
from tests.support.trainer_fates import Trainer, difference, tabled

pytestmark = pytest.mark.trainer

TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
SHARED_COLUMNS = {"messages": "messages", "images": "images", "system": "system"}
ALPACA_COLUMNS = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "system": "system",
    "history": "history",
}
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "qwen2_vl": [
        {"cutoff_len": 1_000_000},
        {"cutoff_len": 2048},
        {"cutoff_len": 300, "image_max_pixels": 262_144},
        {"cutoff_len": 64, "image_max_pixels": 12_544, "image_min_pixels": 784},
        {"cutoff_len": 700, "mask_history": True, "image_max_pixels": 1_605_632},
        {"cutoff_len": 500, "train_on_prompt": True},
    ],
    "qwen3_vl": [
        {"cutoff_len": 1_000_000, "image_max_pixels": 1_003_520},
        {"cutoff_len": 400},
        {"cutoff_len": 400, "enable_thinking": False},
        {"cutoff_len": 600, "mask_history": True},
    ],
    "qwen3_vl_nothink": [{"cutoff_len": 1_000_000}, {"cutoff_len": 200, "image_max_pixels": 200_704}],
}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[str]]:
    folder = tmp_path_factory.mktemp("media")
    return folder, *pictures(folder)


@pytest.mark.parametrize("template", list(SETTINGS))
def test_every_record_fares_as_foretold(
    template: str, media: tuple[Path, list[str], list[str]], tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder, good, bad = media
    model = tiny_model("qwen2_5_vl" if template == "qwen2_vl" else "qwen3_vl")
    trainer = Trainer(model, template, folder, tmp_path)
    rows = list(records(1_000, good, bad, seed=len(template)))
    more = list(alpaca(200, seed=3))
    convert = trainer.converter({"formatting": "sharegpt", "columns": SHARED_COLUMNS, "tags": TAGS})
    convert_more = trainer.converter({"columns": ALPACA_COLUMNS, "tags": TAGS})
    nothing = dict.fromkeys(COLUMNS)
    shared = DataSet("set", formatting="sharegpt", columns={**nothing, **SHARED_COLUMNS}, tags=dict(TAGS))
    plain = DataSet("set", columns={**nothing, **ALPACA_COLUMNS})
    pairs = [(row, tabled(row), convert, shared) for row in rows]
    pairs += [(row, tabled(row), convert_more, plain) for row in more]
    looked_at, wrong, seen = ImageFiles(folder, decode=True), [], Counter[str]()
    for settings in SETTINGS[template]:
        trainer.configure(settings)
        checker = Checker(_training(template, settings).how(), looked_at)
        for row, example, maker, data_set in pairs:
            theirs, ours = trainer.fate(maker, example), checker.check(row, data_set)
            seen[theirs.verdict] += 1
            fault = difference(theirs, ours)
            if fault:
                wrong.append((settings, row, fault, ours.faults))
            seen["cut"] += theirs.verdict == "kept" and ours.input_tokens < ours.tokens
            seen["crashes"] += ours.crashes
    assert wrong[:3] == []
    assert len(wrong) == 0
    assert min(seen[kind] for kind in ("kept", "dropped", "stops", "cut", "crashes")) > 100, seen


def _training(template: str, settings: dict[str, Any]) -> Training:
    keys = {"template": template, **settings}
    return Training(keys, YamlFile(Path("train.yaml"), keys, ""))
