"""What starts a server: the same from a plan and from the file that a bundle carries."""

from __future__ import annotations

from datakit.artifacts.serving import Serving
from datakit.serving.serve_command import Flag, ServeCommand
from datakit.serving.serve_files import plan_json
from tests.support.plans import planned


def test_written_plan_starts_what_the_plan_starts() -> None:
    plan = planned()
    written = Serving.model_validate(plan_json(plan))
    assert ServeCommand.of(written, plan.model) == plan.serve_command
    assert plan.serve_command.command("python -m vllm") == plan.command("python -m vllm")
    assert ServeCommand.of(written, "/other").command()[:3] == ["vllm", "serve", "/other"]


def test_changed_flag_keeps_its_place_and_a_new_one_comes_last() -> None:
    command = ServeCommand(
        "m", "n", 8000, (Flag("--a", "1", ""), Flag("--b", None, ""), Flag("--c", "3", ""))
    )
    changed = command.with_flags({"--a": "2", "--d": "4"}, "why", dropped=("--b",))
    assert changed.command() == ["vllm", "serve", "m", "--a", "2", "--c", "3", "--d", "4"]
    assert changed.flags[0].why == changed.flags[2].why == "why"


def test_length_and_port_follow_their_flags() -> None:
    command = ServeCommand("m", "n", 8000, (), max_model_len=512)
    changed = command.with_flags({"--max-model-len": "256", "--port": "8001"}, "")
    assert (changed.max_model_len, changed.port, changed.url) == (256, 8001, "http://127.0.0.1:8001/v1")
    assert command.with_flags({"--max-model-len": "auto"}, "").max_model_len == 512
