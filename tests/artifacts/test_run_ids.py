"""Ids of runs: the run's folder where the weights lie in one, else name and where they come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.artifacts.run_ids import answer_files, predictions_file, predictions_name, run_id, run_of, safe
from datakit.core.errors import UserError

HERE = "http://127.0.0.1:8000/v1"


def test_weights_in_a_run_of_the_build_have_its_name(tmp_path: Path) -> None:
    runs = tmp_path / "small-runs"
    (runs / "lora-1a2b3c" / "served").mkdir(parents=True)
    (tmp_path / "link").symlink_to(runs / "lora-1a2b3c" / "served")
    for root in (runs / "lora-1a2b3c" / "served", runs / "lora-1a2b3c" / "trained", tmp_path / "link"):
        assert run_id(runs, "small", str(root), HERE) == "lora-1a2b3c"


def test_other_weights_have_their_name_and_where_they_come_from(tmp_path: Path) -> None:
    runs = tmp_path / "small-runs"
    one, two = (run_id(runs, "qwen", f"/models/{name}", HERE) for name in ("a", "b"))
    assert one != two
    assert one.startswith("qwen-")
    assert len(one) == len("qwen-") + 6
    assert run_id(runs, "qwen", "/models/a", "http://10.0.0.7:8000/v1") == one
    assert (
        run_id(runs, "qwen", str(tmp_path / "other-runs" / "lora-1a2b3c" / "served"), HERE) != "lora-1a2b3c"
    )


def test_a_server_that_does_not_say_where_its_weights_lie_is_known_by_its_address(tmp_path: Path) -> None:
    name = "Qwen/Qwen2.5-VL-7B-Instruct"
    one, two = (run_id(tmp_path, name, name, f"http://10.0.0.{host}/v1") for host in (1, 2))
    assert one != two
    assert one.startswith("Qwen2.5-VL-7B-Instruct-")
    assert run_id(tmp_path, name, name, "http://10.0.0.1/v1/") == one


def test_the_run_of_a_file_is_the_folder_that_it_lies_in(tmp_path: Path) -> None:
    path = predictions_file(tmp_path / "small-runs", "val", "lora-1a2b3c")
    assert path.name == "predictions_val_lora-1a2b3c.jsonl"
    assert run_of(str(path)) == run_of("build/small-runs/lora-1a2b3c/predictions.jsonl") == "lora-1a2b3c"
    assert run_of("build/small-runs/predictions_val.jsonl") == run_of("runs/a/predictions.jsonl") == ""


@given(st.text(max_size=300), st.text(max_size=300))
def test_every_source_and_model_makes_a_name_that_a_folder_takes(source: str, model: str) -> None:
    id_ = run_id(Path("/nowhere-runs"), model, "", HERE)
    name = predictions_name(source, id_)
    assert len(name.encode()) <= 200
    assert Path(name).name == name
    assert not name.startswith((".", "-"))
    assert name.isprintable()
    assert safe(id_) == id_


@pytest.mark.parametrize("name", ["predictions_val.jsonl", "predictions_val_lora-1.jsonl"])
def test_a_folder_with_the_name_of_a_file_of_answers_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "lora-1" / name).mkdir(parents=True)
    with pytest.raises(UserError, match=f"{name} is a folder") as caught:
        answer_files([tmp_path], "val")
    assert "Move it away" in caught.value.remedy
    assert answer_files([tmp_path], "train") == []
