"""What run.sh of a bundle is told: switches, flags in quotes, and every wrong setting at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datakit.core.errors import UserError
from datakit.handoff.bundle_settings import BundleSettings
from datakit.handoff.train_flags import RELIED_ON
from datakit.training.keys import OWNED, known_keys


def settings(folder: Path, *, options: dict[str, str] | None = None, **environment: str) -> BundleSettings:
    """The settings of a bundle that holds no more than its documents."""
    (folder / "screens").mkdir(exist_ok=True)
    (folder / "bundle.json").write_text(json.dumps({"name": "screens"}))
    packed = {"training": {"output_dir": "../screens-runs/lora-1a/trained"}, "needs": {}}
    (folder / "screens" / "packed.json").write_text(json.dumps(packed))
    return BundleSettings.of(folder, options or {}, environment)


@pytest.mark.parametrize(
    ("text", "cpu"),
    [
        *((text, True) for text in ("1", "yes", "true")),
        *((text, False) for text in ("", "0", " 0 ", "no", "False", "OFF")),
    ],
)
def test_cpu_is_on_only_where_it_is_switched_on(tmp_path: Path, text: str, cpu: bool) -> None:
    assert settings(tmp_path, CPU=text).cpu is cpu


def test_option_switches_the_cpu_on_whatever_the_environment_says(tmp_path: Path) -> None:
    assert settings(tmp_path, options={"cpu": "1"}, CPU="0").cpu


def test_flags_are_split_as_a_shell_splits_them(tmp_path: Path) -> None:
    serve = """--limit-mm-per-prompt '{"image": 4}' --chat-template "/my models/chat.jinja" """
    given = settings(tmp_path, SERVE_FLAGS=serve, TRAIN_FLAGS="num_train_epochs=1 run_name='a b'")
    nested = settings(tmp_path, SERVE_FLAGS='--a {"image":3} --b \'{"c": {"d": 1}}\'')
    assert nested.serve_flags == ("--a", '{"image":3}', "--b", '{"c": {"d": 1}}')
    words = ("--limit-mm-per-prompt", '{"image": 4}', "--chat-template", "/my models/chat.jinja")
    assert given.serve_flags == words
    assert given.train_flags == ("num_train_epochs=1", "run_name=a b")


def test_quote_that_is_not_closed_names_its_variable(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--serve-flags or SERVE_FLAGS is .*no closing quotation") as error:
        settings(tmp_path, SERVE_FLAGS="--served-model-name 'it")
    assert "Close the quote" in error.value.remedy
    with pytest.raises(UserError, match=r"TRAIN_FLAGS is .*no escaped character"):
        settings(tmp_path, TRAIN_FLAGS="a=b\\")


def test_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        settings(tmp_path, PORT="abc", GPUS="-1", TRAIN_FLAGS="'")
    text = str(error.value)
    assert all(name in text for name in ("PORT is 'abc'", "GPUS is '-1'", "TRAIN_FLAGS is"))


@pytest.mark.parametrize(
    ("flags", "remedy"),
    [
        ("model_name_or_path=org/mine", "Use MODEL"),
        *((f"{key}=1", "Build anew") for key in ("template", "dataset", "cutoff_len", "image_max_pixels")),
        *((f"{key}=1", "Build anew") for key in ("stage", "finetuning_type", "adapter_name_or_path")),
        *((f"{key}=1", "Leave it out") for key in ("output_dir", "overwrite_output_dir")),
        ("use_cpu=true", "Use CPU=1"),
        ("hf_hub_token=hf_1", "Set HF_TOKEN"),
        *(
            (word, "Give each as KEY=VALUE")
            for word in ("--bf16", "learning_rate", "=1", "--lr=1", "'a b=1'")
        ),
    ],
)
def test_setting_of_the_training_that_other_stages_go_by_is_refused(
    tmp_path: Path, flags: str, remedy: str
) -> None:
    with pytest.raises(UserError, match="--train-flags or TRAIN_FLAGS has") as error:
        settings(tmp_path, options={"train-flags": f"num_train_epochs=1 {flags}"})
    assert error.value.remedy.startswith(remedy)
    assert "hf_1" not in str(error.value)


def test_every_refused_setting_of_the_training_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        settings(tmp_path, TRAIN_FLAGS="template=qwen --fast output_dir=x", PORT="abc")
    text = str(error.value)
    assert all(name in text for name in ("`template`", "'--fast'", "`output_dir`", "PORT is 'abc'"))


def test_keys_that_a_recipe_may_not_set_are_no_flags_of_the_training_either() -> None:
    assert set(OWNED) - {"max_samples", "evaluation_strategy"} <= set(RELIED_ON)  # a trial may take few rows
    assert set(RELIED_ON) - {"export_dir"} <= {*known_keys(), *OWNED}


@pytest.mark.parametrize("flags", ["--api-key sk-1", "--api-key=sk-1", "--dtype auto --api_key sk-1"])
def test_key_of_the_server_is_no_flag_because_logs_would_show_it(tmp_path: Path, flags: str) -> None:
    with pytest.raises(UserError, match="--serve-flags or SERVE_FLAGS has a key") as error:
        settings(tmp_path, SERVE_FLAGS=flags)
    assert "Set VLLM_API_KEY" in error.value.remedy
    assert "sk-1" not in str(error.value)
