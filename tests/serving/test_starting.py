"""A start that hangs is told by its log from one that is slow. Texts as people have reported them."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.serving.failures import read_failure
from datakit.serving.launch import next_plan
from datakit.serving.serve_command import Flag
from datakit.serving.starting import HANGS, PHASES, StartWatch
from tests.support.plans import planned

WAITING = (
    "(EngineCore_DP0 pid=77352) INFO 10-22 09:43:49 [shm_broadcast.py:466] No available shared memory "
    "broadcast block found in 60 seconds. This typically happens when some processes are hanging or doing "
    "some time-consuming work (e.g. compilation, weight/kv cache quantization)."
)
NO_MULTICAST = (
    "WARNING [symm_mem.py:106] SymmMemCommunicator: symmetric memory multicast operations are not supported."
)
HANGING = {
    "hangs_all_reduce_fusion": "INFO [flashinfer_all_reduce.py:149] Initialized FlashInfer Allreduce norm "
    "fusion workspace with backend=mnnvl",
    "hangs_custom_all_reduce": "INFO 07-08 11:50:03 custom_all_reduce_utils.py:202] generating GPU P2P "
    "access cache in /home/user/.config/vllm/gpu_p2p_access_cache_for_0,1.json",
    "hangs_nccl": "(VllmWorkerProcess pid=19) INFO 08-31 09:50:46 pynccl.py:63] vLLM is using nccl==2.20.5",
    "hangs_address": "[W socket.cpp:663] [c10d] The client socket has failed to connect to "
    "[::ffff:172.16.8.232]:39623 (errno: 110 - Connection timed out).",
    "no_network": "'[Errno -3] Temporary failure in name resolution' thrown while requesting HEAD "
    "https://huggingface.co/Qwen/Qwen2.5-VL-7B-Instruct/resolve/main/config.json",
    "serves_elsewhere": "INFO:     Uvicorn running on http://127.0.0.1:9999 (Press CTRL+C to quit)",
}
SLOW = {
    "loading the weights": "Loading safetensors checkpoint shards:  38% Completed | 3/8 [00:23<00:37]",
    "compiling the model": "INFO [backends.py:1167] Dynamo bytecode transform time: 8.12 s",
    "capturing CUDA graphs": "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  12%|",
    "downloading the model": "model-00001-of-00005.safetensors:  41%|####      | 1.6G/3.9G",
}


class Start:
    """A start whose log and clock the test moves."""

    def __init__(self, folder: Path, timeout_s: float = 900.0) -> None:
        self.log, self.now, self.lines = folder / "serve.log", 0.0, list[str]()
        self.log.touch()
        self.watch = StartWatch(self.log, self.lines.append, timeout_s, lambda: self.now)

    def says(self, line: str, after_s: float = 1.0) -> str:
        """The kind of hang that is seen after so many seconds, when the line has just come; "" for none."""
        self.now += after_s
        with open(self.log, "a") as file:
            file.write(f"{line}\n")
        return self.kind()

    def waits(self, seconds: float) -> str:
        self.now += seconds
        return self.kind()

    def kind(self) -> str:
        hang = self.watch.look()
        return hang.kind if hang is not None else ""


@pytest.mark.fault(
    "a server's start hangs: between two GPUs, at an address, at a download without a network",
    "it is named by its log with the way out, before the time-out, and tried again where a flag helps",
    kind="processes",
)
@pytest.mark.parametrize("kind", HANGING)
def test_hang_is_named_by_its_last_line(tmp_path: Path, kind: str) -> None:
    start = Start(tmp_path)
    still_s = next(hang.still_s for hang in HANGS if hang.make("").kind == kind)
    assert start.says(HANGING[kind]) == ""
    assert start.waits(still_s - 1) == ""
    assert start.waits(2) == kind
    assert still_s < 300


def test_fusion_that_lacks_multicast_is_not_waited_for_long(tmp_path: Path) -> None:
    start = Start(tmp_path)
    start.says(NO_MULTICAST)
    assert start.says(HANGING["hangs_all_reduce_fusion"]) == ""
    assert start.waits(39) == ""
    assert start.waits(2) == "hangs_all_reduce_fusion"


def test_machine_without_multicast_is_waited_for_elsewhere(tmp_path: Path) -> None:
    start = Start(tmp_path)
    start.says(NO_MULTICAST)
    start.says(HANGING["hangs_nccl"])
    assert start.waits(100) == ""


def test_every_place_of_a_hang_has_a_text() -> None:
    assert [hang.make("").kind for hang in HANGS] == list(HANGING)


@pytest.mark.parametrize("kind", [*HANGING][:3])
def test_lines_that_say_that_somebody_waits_are_no_progress(tmp_path: Path, kind: str) -> None:
    start = Start(tmp_path)
    start.says(HANGING[kind])
    kinds = [start.says(WAITING, 60) for _ in range(3)]
    assert kinds[-1] == kind


@pytest.mark.parametrize("words", SLOW)
def test_slow_start_is_told_once_and_never_ended(tmp_path: Path, words: str) -> None:
    start = Start(tmp_path)
    start.says("INFO something")
    start.says(SLOW[words])
    assert start.says(SLOW[words]) == ""
    assert [words in line for line in start.lines] == [True]
    assert start.waits(3000) == ""
    assert [start.says(WAITING, 60) for _ in range(9)] == [""] * 9


def test_gpus_that_wait_for_each_other_behind_an_unknown_line_hang(tmp_path: Path) -> None:
    start = Start(tmp_path)
    start.says("INFO 04-18 18:08:51 [kernel.py:1] something new")
    kinds = [start.says(WAITING, 60) for _ in range(6)]
    assert kinds == ["", "", "", "", "", "hangs_nccl"]


def test_log_that_moves_again_is_no_hang(tmp_path: Path) -> None:
    start = Start(tmp_path)
    start.says(HANGING["hangs_nccl"])
    start.waits(100)
    assert start.says("INFO Starting to load model merged...", 100) == ""
    assert start.waits(10_000) == ""


def test_longer_time_out_is_more_patience(tmp_path: Path) -> None:
    start = Start(tmp_path, timeout_s=2700)
    start.says(HANGING["hangs_nccl"])
    assert start.waits(350) == ""
    assert start.waits(20) == "hangs_nccl"


def test_hub_that_is_not_reached_is_told_at_once(tmp_path: Path) -> None:
    start = Start(tmp_path)
    start.says(HANGING["no_network"])
    assert "HF_HUB_OFFLINE=1" in start.lines[0]


def test_progress_bar_is_read_by_its_last_state(tmp_path: Path) -> None:
    start = Start(tmp_path)
    start.log.write_text("Loading x\rLoading safetensors checkpoint shards: 50%\r")
    start.kind()
    assert start.watch.last_line == "Loading safetensors checkpoint shards: 50%"


def test_phases_are_all_slow_and_none_hangs() -> None:
    assert not any(hang.pattern.search(line) for hang in HANGS for line in SLOW.values())
    assert len(PHASES) > len(SLOW)


def test_configuration_that_a_start_prints_is_no_phase_and_no_hang(tmp_path: Path) -> None:
    start = Start(tmp_path)
    start.says(
        "(EngineCore pid=1) INFO [core.py:69] Initializing a V1 LLM engine (v0.32.0) with config: "
        "disable_custom_all_reduce=False, compilation_config={'backend': 'inductor', 'mode': torch.compile}"
    )
    assert start.lines == []
    assert start.waits(2000) == ""


def test_flags_of_the_users_own_compilation_are_left_as_they_are() -> None:
    hang = HANGS[0].make("")
    plan = planned().serve_command
    following = next_plan(plan, hang)
    assert following is not None
    assert following.flags[-1].name == "--compilation-config"
    own = plan.with_flags({"--compilation-config": "{}"}, "the recipe's")
    assert own.flags[-1] == Flag("--compilation-config", "{}", "the recipe's")
    assert next_plan(own, hang) is None


def test_end_without_a_network_is_told_as_such() -> None:
    for line in (
        "OSError: We couldn't connect to 'https://huggingface.co' to load this file",
        "urllib3.exceptions.MaxRetryError: Max retries exceeded with url: /openai/resolve/main/config.json",
        "huggingface_hub.utils._http.OfflineModeIsEnabled: Cannot reach https://huggingface.co/api: offline",
    ):
        failure = read_failure(line)
        assert failure is not None
        assert failure.kind == "no_network"
