"""The serving plan: figures, flags, refusals."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.core.errors import UserError
from datakit.core.pixels import FAMILIES, TRAINER, TrainerLimits, image_tokens, trainer_size
from datakit.library import build
from datakit.run.build import BuildFailed, BuildResult
from datakit.serving.from_build import plan_for
from datakit.serving.plan import ServingPlan, gpu_memory, longest_context
from datakit.serving.requirements import requirements_of, served_family
from datakit.serving.serve_files import script
from datakit.serving.settings import ServeSettings
from tests.support.plans import DEMAND, QWEN, SEVEN, planned


def flags_of(plan: ServingPlan) -> dict[str, str | None]:
    return {flag.name: flag.value for flag in plan.flags}


def test_longest_context_is_what_a_real_server_said() -> None:
    # 16 MiB at 1,024 bytes a token on CPU: vLLM 0.32 said 16,256 (tests/vllm asks a running one).
    assert longest_context(16 << 20, 1024, 128) == 16_256
    assert longest_context(0, 1024) == 0


def test_command_carries_length_pixels_and_name_of_the_training() -> None:
    plan = planned(ServeSettings())
    flags = flags_of(plan)
    assert plan.command()[:3] == ["vllm", "serve", "merged"]
    assert flags["--served-model-name"] == "ecom"
    assert int(flags["--max-model-len"] or 0) >= DEMAND.prompt_tokens + 2 * DEMAND.answer_tokens
    assert json.loads(flags["--limit-mm-per-prompt"] or "") == {"image": 1, "video": 0}
    assert json.loads(flags["--mm-processor-kwargs"] or "") == {"min_pixels": 3136, "max_pixels": 617_008}
    assert flags["--generation-config"] == "vllm"
    assert "--tensor-parallel-size" not in flags
    assert all(flag.why for flag in plan.flags)


def test_model_is_split_over_the_gpus_that_there_are() -> None:
    plan = planned(ServeSettings(gpus=2))
    assert flags_of(plan)["--tensor-parallel-size"] == "2"
    one, two = gpu_memory(SEVEN, DEMAND, ServeSettings()), gpu_memory(SEVEN, DEMAND, ServeSettings(gpus=2))
    assert (two.weights, two.bytes_per_token) == (one.weights // 2, one.bytes_per_token / 2)


def test_heads_that_do_not_divide_are_refused_with_what_does() -> None:
    with pytest.raises(UserError, match=r"28 attention heads.*over 3 GPUs") as error:
        planned(ServeSettings(gpus=3))
    assert "1 or 2" in error.value.remedy


@pytest.mark.fault(
    "a recipe asks for 1,000,000,000,000 GPUs",
    "refused at once",
    kind="bounds",
)
def test_so_many_gpus_that_nobody_has_them_are_refused_at_once() -> None:
    with pytest.raises(UserError, match="cannot be split over 1000000000000 GPUs"):
        planned(ServeSettings(gpus=10**12))


def test_too_small_a_gpu_is_refused_with_figures_and_what_helps() -> None:
    with pytest.raises(UserError, match=r"weights 15\.4") as error:
        planned(ServeSettings(gpu_memory_gb=16))
    assert "serve.gpus: 2" in error.value.remedy
    assert "a GPU of 24 GB" in error.value.remedy
    assert planned(ServeSettings(gpu_memory_gb=24)).memory.longest_context > 50_000


def test_length_under_the_longest_record_is_refused_with_its_id() -> None:
    with pytest.raises(UserError, match="record screen-7 has 2,500 tokens"):
        planned(ServeSettings(max_model_len=2048))


def test_prompt_over_the_models_positions_is_refused() -> None:
    with pytest.raises(UserError, match="takes 128,000"):
        planned(ServeSettings(gpu_memory_gb=141), replace(DEMAND, prompt_tokens=130_000))


def test_flags_of_the_recipe_win_and_false_leaves_one_out() -> None:
    settings = ServeSettings(flags={"max_num_seqs": 8, "enforce-eager": True, "generation-config": False})
    flags = flags_of(planned(settings))
    assert (flags["--max-num-seqs"], flags["--enforce-eager"]) == ("8", None)
    assert "--generation-config" not in flags


def test_plan_for_cpu_asks_for_no_gpu() -> None:
    plan = planned(ServeSettings(gpus=4), cpu=True)
    assert plan.memory.longest_context >= 8 * plan.max_model_len
    assert flags_of(plan)["--kv-cache-memory-bytes"] == str(plan.memory.cache)
    assert not {"--tensor-parallel-size", "--gpu-memory-utilization"} & flags_of(plan).keys()


@pytest.mark.parametrize(("given", "bytes_"), [("16M", 16 << 20), ("1G", 1 << 30), ("1000000", 1_000_000)])
def test_cache_of_the_recipe_is_read_as_vllm_reads_it(given: str, bytes_: int) -> None:
    settings = ServeSettings(flags={"kv-cache-memory-bytes": given, "max-model-len": 2624})
    if bytes_ < 1 << 30:
        with pytest.raises(UserError, match="cannot be served"):
            planned(settings, cpu=True)
    else:
        assert planned(settings, cpu=True).memory.cache == bytes_


def test_limit_of_the_trainer_itself_would_shrink_some_pictures_twice() -> None:
    size, same = (520, 1129), QWEN.within(max_pixels=TRAINER.max_pixels)
    trained = image_tokens(*size, QWEN)
    assert image_tokens(*trainer_size(*size), same, None) != trained
    assert image_tokens(*trainer_size(*size), served_family([size], QWEN, TRAINER), None) == trained


@given(
    st.integers(28, 6000),
    st.integers(28, 6000),
    st.sampled_from([784, 50_176, 262_144, 589_824, 1_003_520]),
    st.sampled_from(["qwen2_5_vl", "qwen3_vl"]),
)
def test_resized_as_in_training_every_picture_keeps_its_tokens(
    width: int, height: int, most: int, name: str
) -> None:
    family, trainer = FAMILIES[name], TrainerLimits(most)
    try:
        trained = image_tokens(width, height, family, trainer)
    except ValueError:
        return
    served = served_family([(width, height)], family, trainer)
    assert image_tokens(*trainer_size(width, height, trainer), served, None) == trained


def test_demand_of_a_build_counts_prompt_pictures_and_answer(small: Path) -> None:
    demand = requirements_of(BuildFolder(small), SEVEN)
    assert (demand.records, demand.images, demand.mismatches) == (6, 1, ())
    assert demand.prompt_tokens > demand.image_tokens > 700
    assert demand.longest_tokens <= demand.prompt_tokens + demand.answer_tokens


def test_build_holds_a_script_that_bash_reads_and_a_plan(small: Path) -> None:
    assert subprocess.run(["bash", "-n", small / "serve.sh"], check=False).returncode == 0
    done = subprocess.run([small / "serve.sh"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "give the folder of the merged model" in done.stderr
    plan = json.loads((small / "serve.json").read_text())
    assert plan["name"] == "small"
    assert plan["memory"]["longest_context"] > plan["max_model_len"]


def _built(folder: Path, size: tuple[int, int], most: int) -> BuildResult:
    """A build of one picture of this size, with a serving plan."""
    (folder / "recipes").mkdir()
    (folder / "templates").mkdir()
    (folder / "templates" / "ask.j2").write_text("<image>What?", "utf-8")
    Image.new("RGB", size).save(folder / "1.png")
    (folder / "rows.jsonl").write_text('{"id": "r1", "image": "1.png", "label": "a"}\n', "utf-8")
    recipe = folder / "recipes" / "long.yaml"
    recipe.write_text(
        "steps:\n- read.jsonl: {path: ../rows.jsonl}\n- render.chat: {prompt: ask.j2, answer: label_only}\n"
        f"emit: [llamafactory]\ntrain: {{model: Qwen/Qwen2.5-VL-7B-Instruct, image_max_pixels: {most}}}\n"
        "serve: {gpu_memory_gb: 80}\n",
        "utf-8",
    )
    return build(recipe, card=False)


def test_a_picture_longer_than_a_server_takes_must_be_resized_by_the_client(tmp_path: Path) -> None:
    demand = requirements_of(BuildFolder.open(_built(tmp_path, (500, 2), 50_176).folder), SEVEN)
    assert (demand.sizes, demand.untreated, demand.mismatches) == (1, 1, ())


@pytest.mark.fault(
    "a picture shrinks to nothing under the limit of the training",
    "the build fails with its place",
    kind="bounds",
)
def test_a_picture_that_shrinks_to_nothing_is_told_by_the_check_and_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="A picture shrinks to nothing"):
        _built(tmp_path, (3000, 1), 784)


def test_folder_without_data_is_no_build(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data set for LLaMA-Factory"):
        requirements_of(BuildFolder(tmp_path), SEVEN)


def test_further_names_reach_the_server_and_the_first_is_asked_for() -> None:
    plan = planned(ServeSettings(names=["gpt-4o-mini", "ecom latest"]))
    words = plan.command()
    at = words.index("--served-model-name")
    assert words[at : at + 5] == ["--served-model-name", "ecom", "gpt-4o-mini", "ecom latest", "--host"]
    assert plan.name == "ecom"
    assert "'ecom latest'" in script(plan, "x")


def test_questions_of_ones_own_have_room_for_text_pictures_and_videos() -> None:
    task = planned(ServeSettings())
    plan = planned(ServeSettings(general=True, images=5, videos=5))
    assert json.loads(flags_of(plan)["--limit-mm-per-prompt"] or "") == {"image": 5, "video": 5}
    picture = DEMAND.served.max_pixels // DEMAND.served.factor**2
    assert plan.max_model_len > 5 * picture + 5 * 8 * picture + 4096
    assert plan.max_model_len > task.max_model_len
    assert plan.memory.working > task.memory.working
    only_images = planned(ServeSettings(images=5))
    assert only_images.max_model_len == task.max_model_len
    assert json.loads(flags_of(only_images)["--limit-mm-per-prompt"] or "")["image"] == 5


def test_questions_of_ones_own_never_cost_more_than_the_memory_holds() -> None:
    plan = planned(ServeSettings(general=True, images=500, videos=500))
    assert plan.max_model_len <= plan.memory.longest_context
    assert plan.max_model_len >= DEMAND.longest_tokens


def test_fewer_pictures_than_a_record_has_are_not_planned_for() -> None:
    flags = flags_of(planned(ServeSettings(images=1), replace(DEMAND, images=3)))
    assert json.loads(flags["--limit-mm-per-prompt"] or "")["image"] == 3


@pytest.mark.parametrize("names", [["-x"], [" "]])
def test_name_that_is_none_is_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="a name is a text"):
        ServeSettings(names=names)


def test_dry_run_before_the_training_prints_a_command_that_can_be_pasted(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", str(small), "--dry-run", "--port", "8011"]) == 0
    told = capsys.readouterr().out
    pasted, _, reasons = told.partition("\n\n")
    assert max(map(len, pasted.splitlines()[1:])) < 100
    stub = tmp_path / "vllm"
    stub.write_text("#!/bin/bash\nprintf '%s\\0' \"$@\"\n")
    stub.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash"], input=pasted + "\n", env=environment, capture_output=True, text=True, check=True
    )
    words = done.stdout.split("\0")[:-1]
    changes = {"port": 8011}
    assert words == plan_for(BuildFolder(small), None, changes, untrained=True).command()[1:]
    assert words[1] == str((small / BuildFolder(small).export["export_dir"]).resolve())
    assert "requests must use this name" in reasons
    assert f"BASE_URL=http://127.0.0.1:8011/v1 bash {small / 'ask.sh'}" in reasons


def test_model_that_is_not_there_is_not_started(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", str(small)]) == 2
    assert "there is no trained model to serve" in capsys.readouterr().err
