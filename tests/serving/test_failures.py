"""What vLLM prints when it does not start, old and new, and what is changed for the next try."""

from __future__ import annotations

import pytest

from datakit.serving.failures import read_failure
from datakit.serving.launch import next_plan
from tests.support.plans import planned

OLD_LENGTH = (
    "ValueError: The model's max seq len (128000) is larger than the maximum number of tokens that can be "
    "stored in KV cache (119840). Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when "
    "initializing the engine."
)
NEW_LENGTH = (
    "ValueError: To serve at least one request with the model's max seq len (32768), (0.04 GiB KV cache is "
    "needed, which is larger than the available KV cache memory (0.02 GiB). Based on the available memory, "
    "the estimated maximum model length is 16256. Try increasing `gpu_memory_utilization`"
)
TEXTS = {
    "context_too_long": (OLD_LENGTH, {"--max-model-len": "119840"}),
    "context_too_long ": (NEW_LENGTH, {"--max-model-len": "16256"}),
    "context_over_model": (
        "User-specified max_model_len (65536) is greater than the derived max_model_len "
        "(max_position_embeddings=32768 or model_max_length=None in model's config.json).",
        {"--max-model-len": "32768"},
    ),
    "no_cache_memory": (
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
        {"--enforce-eager": None, "--max-num-seqs": "32"},
    ),
    "memory_taken": (
        "ValueError: Free memory on device cuda:0 (18.02/23.64 GiB) on startup is less than desired GPU "
        "memory utilization (0.92, 21.75 GiB). Decrease GPU memory utilization",
        {"--gpu-memory-utilization": "0.75"},
    ),
    "memory_taken ": (
        "ValueError: Free memory on device (18.02/23.64 GiB) on startup is less than desired GPU memory "
        "utilization (0.9, 21.28 GiB).",
        {"--gpu-memory-utilization": "0.75"},
    ),
    "out_of_memory": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has",
        {"--enforce-eager": None, "--max-num-seqs": "32", "--max-num-batched-tokens": "2048"},
    ),
    "no_bfloat16": (
        "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0.",
        {"--dtype": "float16"},
    ),
}
HOPELESS = {
    "port_taken": "OSError: [Errno 98] Address already in use",
    "heads_not_divisible": (
        "Total number of attention heads (28) must be divisible by tensor parallel size (8)."
    ),
    "too_few_gpus": "World size (4) is larger than the number of available GPUs (2) in this node.",
    "no_gpu": "RuntimeError: Failed to infer device type, please set the environment variable",
    "no_model": "OSError: merged does not appear to have a file named config.json.",
    "weights_damaged": "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_known_text_becomes_the_flags_of_the_next_try(kind: str) -> None:
    text, changes = TEXTS[kind]
    found = read_failure(f"INFO loading\n{text}\n")
    assert found is not None
    assert (found.kind, found.changes) == (kind.strip(), changes)
    following = next_plan(planned().serve_command, found)
    assert following is not None
    flags = {flag.name: flag.value for flag in following.flags}
    assert changes.items() <= flags.items()


@pytest.mark.parametrize("kind", HOPELESS)
def test_what_only_the_user_can_mend_is_said_and_not_tried_again(kind: str) -> None:
    found = read_failure(HOPELESS[kind])
    assert found is not None
    assert found.kind == kind
    assert found.remedy
    assert next_plan(planned().serve_command, found) is None


def test_flags_that_an_old_server_does_not_know_are_left_out() -> None:
    found = read_failure("vllm: error: unrecognized arguments: --generation-config vllm --mm-foo={}")
    assert found is not None
    assert found.dropped == ("--generation-config", "--mm-foo")
    following = next_plan(planned().serve_command, found)
    assert following is not None
    assert "--generation-config" not in following.command()
    assert "vllm" not in following.command()[1:]


def test_old_syntax_of_picture_limits_is_taken_up() -> None:
    found = read_failure(
        "argument --limit-mm-per-prompt: Invalid item format. Each item should be in the form key=value"
    )
    assert found is not None
    following = next_plan(planned().serve_command, found)
    assert following is not None
    assert "image=1" in following.command()


def test_length_under_the_datas_longest_record_is_not_tried() -> None:
    found = read_failure(NEW_LENGTH.replace("16256", "2048"))
    assert found is not None
    assert next_plan(planned().serve_command, found) is None


def test_unknown_text_has_no_reason() -> None:
    assert read_failure("everything is fine") is None
