"""Words of other tools are answered with LLaMA-Factory's, value and all."""

from __future__ import annotations

import pytest

from datakit.training.config import TrainSettings
from datakit.training.keys import OWNED, known_keys
from datakit.training.other_words import _BY_KEY, _KEY_OF, explained, meant_by


@pytest.mark.parametrize(
    ("word", "value", "written"),
    [
        ("max_length", 2048, "`cutoff_len: 2048`"),
        ("max_seq_length", 4096, "`cutoff_len: 4096`"),
        ("--max-length", 2048, "`cutoff_len: 2048`"),
        ("batch_size", 4, "`per_device_train_batch_size: 4`"),
        ("epochs", 3, "`num_train_epochs: 3`"),
        ("lr", "1e-4", "`learning_rate: 1e-4`"),
        ("lora_r", 8, "`lora_rank: 8`"),
        ("gradient_accumulation", 16, "`gradient_accumulation_steps: 16`"),
        ("load_in_4bit", True, "`quantization_bit` (4 in place of true)"),
        ("target_modules", ["q_proj"], "`lora_target`"),
        ("num_gpus", 4, "`gpus: 4`"),
        ("split_dataset_ratio", 0.1, "`curate.split`"),
    ],
)
def test_another_tools_word_is_answered_with_what_to_write(word: str, value: object, written: str) -> None:
    assert written in explained(word, value)


def test_in_a_file_of_the_trainer_its_own_keys_are_named() -> None:
    assert "`model_name_or_path`" in explained("model_id", "x", in_recipe=False)
    assert "NPROC_PER_NODE" in explained("nproc_per_node", 4, in_recipe=False)
    assert explained("learnin_rate", 1) == ""


def test_every_answer_is_a_key_that_exists_and_no_word_is_one() -> None:
    """But `max_length`, which means another thing in LLaMA-Factory."""
    taken = {*known_keys(), *TrainSettings.model_fields}
    assert set(_BY_KEY) - taken == set()
    assert set(_KEY_OF) & (taken | OWNED.keys()) - {"evaluation_strategy"} == {"max_length"}
    assert sum(len(words.split()) for words in _BY_KEY.values()) == len(_KEY_OF)  # none stands for two keys
    assert meant_by("cutoff_len") is None
