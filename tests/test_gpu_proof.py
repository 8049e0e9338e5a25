"""The proof on a GPU: its data are what they say, its run takes up and tells, its page is of its results."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from proof import prepare, report, run  # noqa: E402
from proof.join import join  # noqa: E402
from proof.variants import MANY_STEPS, PROMPTS, STEPS, VARIANTS  # noqa: E402

from datakit.library import load  # noqa: E402
from datakit.run.columns import check_columns  # noqa: E402

RESULTS = ROOT / "scripts" / "proof" / "results.json"
PAGE = ROOT / "docs" / "explanation" / "proof.md"
MODEL = {"model_type": "qwen2_5_vl", "architectures": ["Qwen2_5_VLForConditionalGeneration"]}
CLASSES = [f"class {number}" for number in range(25)]


def screens(folder: Path, part: str, count: int) -> None:
    """A list of screens as draw_screens.py leaves it: of 25 in a row each class has one."""
    (folder / part).mkdir(parents=True)
    rows = [
        {"id": f"screen-{at:05}", "image": f"images/{at:05}.jpg", "label": CLASSES[at % 25]}
        for at in range(count)
    ]
    (folder / part / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    amounts = prepare.Amounts(train=600, quarter=500, held_out=50, few=75, pool=100)
    screens(tmp_path / "screens", "train", 600)
    screens(tmp_path / "screens", "held_out", 50)
    rows = {
        part: prepare.rows_of(tmp_path / "screens", part, count)
        for part, count in prepare.counts_of(amounts, ()).items()
    }
    for row in (*rows["train"], *rows["held_out"]):
        row["ocr_text"] = row["label"]
    prepare.write_data(rows, tmp_path / "data", amounts)
    return tmp_path / "data"


def test_one_label_in_twenty_is_planted_wrong_and_the_others_stay(data: Path) -> None:
    clean, noisy = lines(data / "quarter.jsonl"), lines(data / "noisy.jsonl")
    differ = [a["id"] for a, b in zip(clean, noisy, strict=True) if a["label"] != b["label"]]
    assert len(differ) == 25
    assert [row["id"] for row in clean] == [row["id"] for row in noisy]


def test_the_pool_has_no_labels_and_shares_no_screen_with_the_few(data: Path) -> None:
    few, pool = lines(data / "few.jsonl"), lines(data / "pool.jsonl")
    assert not any("label" in row for row in pool)
    assert not {row["id"] for row in few} & {row["id"] for row in pool}
    assert set(Counter(row["label"] for row in few).values()) == {3}


def test_held_out_screens_say_that_they_are_validation_and_no_training_screen_does(data: Path) -> None:
    assert {row["given_split"] for row in lines(data / "held_out.jsonl")} == {"val"}
    for name in ("train", "quarter", "noisy", "few", "pool", "tail"):
        assert {row["given_split"] for row in lines(data / f"{name}.jsonl")} == {"train"}


def test_the_long_tail_falls_from_class_to_class() -> None:
    rows = [{"id": str(at), "label": CLASSES[at % 25]} for at in range(2500)]
    counts = sorted(Counter(row["label"] for row in prepare.long_tail(rows)).values())
    assert (counts[0], counts[-1]) == (prepare.RARE, prepare.COMMON)
    assert counts[12] < (prepare.RARE + prepare.COMMON) / 2


def test_pictures_of_several_bundles_are_one_file(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.jpg").write_bytes(b"picture")
        (tmp_path / folder / "other.jpg").write_bytes(folder.encode())
        prepare.share((tmp_path / folder).glob("*"), tmp_path / "pool")
    assert (tmp_path / "a" / "same.jpg").samefile(tmp_path / "b" / "same.jpg")
    assert (tmp_path / "b" / "other.jpg").read_bytes() == b"b"


@pytest.mark.parametrize("one", VARIANTS, ids=lambda one: one.name)
def test_every_recipe_is_a_recipe_and_its_base_comes_before_it(one: Any, data: Path) -> None:
    tmp_path = data.parent
    (data / "corrections.jsonl").touch()
    for folder in ("recipes", "templates", "model"):
        (tmp_path / folder).mkdir()
    for name, text in PROMPTS.items():
        (tmp_path / "templates" / f"{name}.j2").write_text(text, "utf-8")
    path = tmp_path / "recipes" / f"{one.name}.yaml"
    path.write_text(one.recipe(ROOT), "utf-8")
    (tmp_path / "model" / "config.json").write_text(json.dumps(MODEL), "utf-8")
    recipe = load(path)
    check_columns(recipe, recipe.context())
    before = [other.name for other in VARIANTS[: VARIANTS.index(one)]]
    assert not one.base or one.base in before


def test_screens_are_read_by_ocr_for_every_recipe_with_steps_that_look_at_texts() -> None:
    needing = {one.name for one in VARIANTS if one.needs_text}
    assert {"ocr", "corrected", "pseudo", "label_first", "reason_first"} <= needing
    assert not needing & {"plain", "twice", "quarter", "few"}


def test_no_recipe_differs_in_what_makes_the_comparison_unfair() -> None:
    sections = [yaml.safe_load(one.recipe(ROOT))["train"] for one in VARIANTS]
    steps = {one.name: own["max_steps"] for one, own in zip(VARIANTS, sections, strict=True)}
    assert steps == dict.fromkeys(steps, STEPS) | MANY_STEPS
    assert {own["per_device_train_batch_size"] * own["gradient_accumulation_steps"] for own in sections} == {
        64
    }


# The run, with programs in place of the bundles


def bundle(here: Path, name: str, *, fails: bool = False) -> None:
    """A bundle whose run.sh leaves what a training leaves, and whose answers come from `answers.json`."""
    folder = here / f"{name}-bundle"
    done = folder / f"{name}-runs" / "full-1"
    folder.mkdir(parents=True)
    rows = [{"current_steps": 20 * at, "loss": 9.0 / at, "elapsed_time": f"0:00:{10 * at}"} for at in (1, 2)]
    log = "".join(json.dumps(row) + "\n" for row in rows)
    script = f"""#!/usr/bin/env bash
echo called >> {folder}/calls
{"exit 1" if fails else ""}
mkdir -p {done}/trained/checkpoint-240 {done}/served {done}/stages
printf '%s' '{log}' > {done}/trained/trainer_log.jsonl
echo '{{"seconds": 12}}' > {done}/stages/train.json
echo '{{}}' > {done}/trained/checkpoint-240/trainer_state.json
[ ! -e {folder}/slow ] || {{ rm {folder}/slow; setsid sleep 60 & echo $! > {folder}/trainer; wait; }}
"""
    (folder / "run.sh").write_text(script, "utf-8")
    (folder / "run.sh").chmod(0o755)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    here = tmp_path / "proof"
    (here / "model").mkdir(parents=True)
    (here / "model" / "model.safetensors").write_bytes(b"")
    (here / "gpu_proof.py").write_text(
        "import json, pathlib, sys\n"
        "rows = [{'id': i, 'label': 'ab'[i == '2'], 'predicted': 'a'} for i in '012']\n"
        "pathlib.Path(sys.argv[4]).write_text(''.join(json.dumps(row) + '\\n' for row in rows))\n",
        "utf-8",
    )
    about = {"change": "a change", "base": "", "train": 3, "wrong_labels": 0}
    variants = {"plain": about, "few": {**about, "base": "plain"}, "noisy": {**about, "base": "plain"}}
    (here / "facts.json").write_text(json.dumps({"variants": variants}), "utf-8")
    for name in variants:
        bundle(here, name)
    return here


def calls(here: Path, name: str) -> int:
    path = here / f"{name}-bundle" / "calls"
    return len(path.read_text("utf-8").splitlines()) if path.is_file() else 0


def is_alive(here: Path, name: str) -> bool:
    """Whether the trainer, which has a session of its own, has outlived its command."""
    trainer = (here / f"{name}-bundle" / "trainer").read_text("utf-8").strip()
    status = Path("/proc", trainer, "stat")
    for _ in range(50):  # a process that was killed takes a moment to go
        try:
            if status.read_text("utf-8").rpartition(")")[2].split()[0] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.1)
    return True


def document(results: Path) -> dict[str, Any]:
    return json.loads((results / "results.json").read_text("utf-8"))  # type: ignore[no-any-return]


def test_each_variant_is_trained_and_asked_and_told_in_one_file(here: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert run.run(here, results, run.Limits(60, 2, cpu=True), None) == 3  # there is no vLLM here
    found = document(results)
    assert set(found["variants"]) == {"plain", "few", "noisy"}
    assert (found["truth"], found["variants"]["few"]["answers"]) == ([0, 0, 1], [0, 0, 0])
    assert found["variants"]["plain"]["step_s"] == 0.5
    assert list(found["not_run"]) == ["vllm"]


def test_what_is_done_is_not_done_again(here: Path, tmp_path: Path) -> None:
    limits = run.Limits(60, 2, cpu=True)
    run.run(here, tmp_path / "results", limits, ["noisy"])
    assert set(document(tmp_path / "results")["variants"]) == {"noisy"}
    run.run(here, tmp_path / "results", limits, ["noisy"])
    assert calls(here, "noisy") == 1


def test_one_training_is_killed_at_its_checkpoint_and_goes_on(here: Path, tmp_path: Path) -> None:
    (here / "few-bundle" / "slow").touch()
    run.run(here, tmp_path / "results", run.Limits(60, 2, cpu=True), ["few"])
    assert document(tmp_path / "results")["variants"]["few"]["killed_at"] == ["checkpoint-240"]
    assert not is_alive(here, "few")
    assert calls(here, "few") == 2


def test_a_variant_that_fails_is_named_with_the_end_of_its_log_and_the_others_go_on(
    here: Path, tmp_path: Path
) -> None:
    (here / "noisy-bundle" / "run.sh").write_text("#!/bin/sh\necho no memory left; exit 1\n", "utf-8")
    run.run(here, tmp_path / "results", run.Limits(60, 2, cpu=True), ["few", "noisy"])
    found = document(tmp_path / "results")
    assert "no memory left" in found["not_run"]["noisy"]
    assert "few" in found["variants"]


def test_a_variant_that_failed_beside_others_is_tried_once_more_alone(here: Path, tmp_path: Path) -> None:
    script = here / "noisy-bundle" / "run.sh"
    once = f"[ -e {here}/failed ] || {{ touch {here}/failed; exit 1; }}"
    script.write_text(script.read_text("utf-8").replace("echo called", f"{once}\necho called", 1), "utf-8")
    run.run(here, tmp_path / "results", run.Limits(60, 2, cpu=True), ["few", "noisy"])
    assert set(document(tmp_path / "results")["variants"]) == {"few", "noisy"}


def test_the_first_has_a_gpu_of_its_own_and_the_others_share_the_rest(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.write_text('#!/bin/sh\ncase "$1" in *index) printf "0\\n1\\n";; *) echo 80000;; esac\n', "utf-8")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(driver.parent), prepend=":")
    for name in ("plain", "few", "noisy"):
        script = here / f"{name}-bundle" / "run.sh"
        told = f'echo "$CUDA_VISIBLE_DEVICES" > {here}/{name}.gpu'
        wait = "sleep 1.5" if name == "plain" else ""
        text = script.read_text("utf-8").replace("echo called", f"{told}; {wait}\necho called", 1)
        script.write_text(text, "utf-8")
    run.run(here, tmp_path / "results", run.Limits(60, 1), None)
    seen = {name: (here / f"{name}.gpu").read_text("utf-8").strip() for name in ("plain", "few", "noisy")}
    assert (seen["plain"], seen["few"]) == ("0", "1")
    assert set(document(tmp_path / "results")["variants"]) == {"plain", "few", "noisy"}


def test_only_the_gpus_that_the_call_may_see_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text('#!/bin/sh\nprintf "0\\n1\\n2\\n"\n', "utf-8")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert run.gpus() == ["0", "1", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    assert run.gpus() == ["2", "1"]


def test_a_variant_that_would_not_fit_is_not_begun(here: Path, tmp_path: Path) -> None:
    work = run.Work(here, tmp_path / "results", run.Limits(10, 1, cpu=True), longest_s=100.0)
    work.places.put("")
    (work.results / "logs").mkdir(parents=True)
    run.attempt(work, "noisy")
    assert calls(here, "noisy") == 0
    assert "not begun" in document(work.results)["not_run"]["noisy"]


def test_a_training_that_outlasts_the_time_is_cut_off_with_all_it_started(here: Path, tmp_path: Path) -> None:
    (here / "noisy-bundle" / "slow").touch()
    assert run.run(here, tmp_path / "results", run.Limits(4, 1, cpu=True), ["noisy"]) == 3
    assert "cut off" in document(tmp_path / "results")["not_run"]["noisy"]
    assert not is_alive(here, "noisy")


# The page


def figures(right: dict[str, float], *, vllm: bool = True, not_run: dict[str, str] | None = None) -> Any:
    """A results file in which each variant has that share of 400 records right, always the first ones."""
    truth = [at % 25 for at in range(400)]
    dice = Random(3)
    order = dice.sample(range(400), 400)
    variants, about = {}, {}
    for one in VARIANTS:
        needs = {"gpu_bytes": 16 << 30, "parameters": 45_500_000}
        memory = {"cache": 1 << 34, "bytes_per_token": 2048, "weights": 1 << 27}
        rows = {"plain": 10_000, "twice": 20_000}.get(one.name, 2500)
        about[one.name] = {
            "change": one.change, "base": one.base, "train": rows, "wrong_labels": 3, "needs": needs,
            "serving": {"memory": memory},
        }  # fmt: skip
        if one.name in right:
            wrong = set(order[: round(400 * (1 - right[one.name]))])
            said = [-1 if at in wrong else label for at, label in enumerate(truth)]
            row = {"answers": said, "steps": 480, "train_s": 80, "step_s": 0.16, "handoff_s": 130.0}
            variants[one.name] = {**row, "transformers_s": 20.0, "losses": [11.0, 0.01]}
    if "few" in variants:
        variants["few"]["killed_at"] = ["checkpoint-240"]
    served = {"answers": variants["plain"]["answers"], "cache_tokens": 8_500_000.0, "start_s": 90.0}
    return {
        "format": 1,
        "machine": {"gpu": "NVIDIA X, 81559", "cores": 16, "date": "2026-11-27", "python": "3.12.3",
                    "torch": "2", "transformers": "5", "llamafactory": "0.9.5", "vllm": "0.25.1"},
        "facts": {
            "steps": 480, "many_steps": {"plain": 960}, "batch": 64, "pixels": 50_176, "planted": 125,
            "tail": [8, 100],
            "screens": {"train": 10_000, "quarter": 2500, "held_out": 400, "few": 300, "pool": 1200},
            "correction": {"relabelled": 120, "to_the_truth": 118, "were_right": 1}, "variants": about,
        },
        "labels": CLASSES,
        "truth": truth,
        "memory": {"before_mib": 500, "peak_mib": 17_000, "most_busy": 99},
        "vllm": served if vllm else None,
        "variants": variants,
        "not_run": not_run or {}, "later_runs": [{"machine": None, "variants": ["few"]}],
    }  # fmt: skip


def page_of(document: Any, folder: Path) -> str:
    path = folder / "results.json"
    path.write_text(json.dumps(document), "utf-8")
    return report.page(path)


ALL = {
    "plain": 0.97, "quarter": 0.965, "noisy": 0.9, "corrected": 0.965, "few": 0.8, "pseudo": 0.9, "ocr": 1.0,
    "again": 0.975,
}  # fmt: skip


def test_the_page_tells_each_change_with_its_interval_and_a_verdict(tmp_path: Path) -> None:
    text = page_of(figures(ALL), tmp_path)
    rows = {row.split("|")[1].strip(" `"): row for row in text.splitlines() if row.startswith("| `")}
    assert "-6.5" in text
    assert "hurts" in text.split("`noisy`")[1].split("\n")[0]
    assert "helps" in text.split("`pseudo`")[1].split("\n")[0]
    assert "noise" in text.split("`again`")[1].split("\n")[0]
    assert set(rows) >= set(ALL)


def test_what_was_wanted_is_said_to_be_reached_or_not(tmp_path: Path) -> None:
    text = page_of(figures(ALL), tmp_path)
    assert "at least 97%: reached with 10,000 screens, 97.0%." in text
    assert "+6.5 of 7.0 points (93%), `quarter` trained twice." in text
    assert "within one point: reached, +0.00 points; 0 of 400" in text
    assert "killed with checkpoint-240" in text
    assert "Of a later run (another day's machine): `few`." in text
    weak = page_of(
        figures({**ALL, "plain": 0.95, "quarter": 0.94, "again": 0.96, "corrected": 0.91}), tmp_path
    )
    assert "at least 97%: not reached with 10,000 screens, 95.0%." in weak
    assert "not reached, +1.0 of 5.0 points (20%)" in weak


def test_noise_that_cost_nothing_leaves_nothing_to_bring_back(tmp_path: Path) -> None:
    assert "nothing to bring back" in page_of(figures({**ALL, "noisy": 0.975}), tmp_path)


def test_a_run_that_was_cut_off_reports_what_it_has_and_names_the_rest(tmp_path: Path) -> None:
    text = page_of(figures({"plain": 0.97}, vllm=False, not_run={"noisy": "cut off: | <b>"}), tmp_path)
    assert "`noisy`: cut off: / &lt;b>" in text
    assert "vLLM and transformers" not in text


def test_planned_stands_beside_real(tmp_path: Path) -> None:
    text = page_of(figures(ALL), tmp_path)
    assert "| tokens in vLLM's cache | 8,388,608 | 8,500,000 | 1.013 |" in text
    assert "| seconds a training step | – | 0.16 | – |" in text


def test_the_page_is_what_the_kept_results_give() -> None:
    if not RESULTS.is_file():
        assert not PAGE.is_file(), f"{PAGE.name} stands there without results: scripts/gpu_proof.py report"
        return
    assert PAGE.read_text("utf-8") == report.page(RESULTS), "scripts/gpu_proof.py report writes it anew"


def test_a_later_run_stands_beside_the_kept_one_with_its_machine(tmp_path: Path) -> None:
    kept, later = tmp_path / "results.json", tmp_path / "later.json"
    why = {"twice": "not begun", "names": "no time"}
    kept.write_text(json.dumps(figures({"plain": 0.95, "few": 0.8}, not_run=why)), "utf-8")
    new = figures({"plain": 0.95, "twice": 0.98, "few": 0.85}, not_run={"names": "cut off"})
    del new["variants"]["plain"]
    new["machine"] |= {"gpu": "NVIDIA Y, 143771", "cores": 16}
    new["facts"] |= {"many_steps": {"twice": 2400}, "screens": new["facts"]["screens"] | {"twice": 20_000}}
    later.write_text(json.dumps({**new, "vllm": None, "memory": None}), "utf-8")
    join(kept, later)
    text = report.page(kept)
    assert "not reached with 10,000 screens, 95.0%; reached with 20,000 screens, 98.0%." in text
    assert "Of a later run (NVIDIA Y, 143771, 16 cores, 2026-11-27): `twice`, `few`." in text
    assert "another day's machine" not in text  # what that one had was trained anew
    assert "960 for `plain`, 2,400 for `twice`, 480 for every other recipe" in text
    assert "- `names`: cut off" in text
    assert "`twice`: not begun" not in text
    assert "tokens in vLLM's cache" in text

    later.write_text(json.dumps({**new, "truth": new["truth"][::-1]}), "utf-8")
    with pytest.raises(ValueError, match="other screens"):
        join(kept, later)
