"""The doctor of a bundle: every fault of a machine at once, each with its remedy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.needs import PACKAGES, Needs
from datakit.bundling import light
from datakit.bundling.pack import bundle
from datakit.handoff import doctor
from datakit.handoff.bundle_settings import BundleSettings
from datakit.handoff.finding import FAULT, FINE, WARNING, Finding
from datakit.handoff.programs import trainer_program
from tests.support import fake_trainer, fake_vllm
from tests.support.fake_trainer import write_base
from tests.support.loopback import Loopback
from tests.support.train_builds import _builds, make_build
from tests.support.unpacked import Unpacked, free_port, listens, write_python
from tests.support.waiting import until

__all__ = ["_builds", "make_build"]
Make = Callable[..., Path]
GIB = 1 << 30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is the whole PATH; whatever else would be read from this machine is unset."""
    tools = tmp_path / "tools"
    fake_trainer.install(tools)
    fake_vllm.install(tools)
    monkeypatch.setenv("PATH", str(tools))
    for name in ("CUDA_VISIBLE_DEVICES", "DATAKIT_TRAINER", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in (
        "TRANSFORMERS_OFFLINE",
        "USE_MODELSCOPE_HUB",
        "USE_OPENMIND_HUB",
        "VLLM_API_KEY",
        "HF_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return tools


@pytest.fixture
def settings(tmp_path: Path, machine: Path) -> BundleSettings:
    """Of a bundle whose machine lacks nothing but GPUs."""
    base = write_base(tmp_path / "base")
    folder = tmp_path / "it-bundle"
    folder.mkdir()
    needs = Needs(base=str(base), family="qwen2_5_vl", base_bytes=2, parameters=1)
    return BundleSettings(
        folder, "it", folder / "it-runs" / "lora-1", needs, model=str(base), port=free_port(), cpu=True
    )


def write_smi(tools: Path, *lines: str, code: int = 0) -> None:
    program = tools / "nvidia-smi"
    text = "\n".join(lines)
    program.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{text}\nEND\nexit {code}\n")
    program.chmod(0o755)


def of(settings: BundleSettings, what: str) -> list[Finding]:
    return [finding for finding in doctor.examine(settings) if finding.what == what]


def only(settings: BundleSettings, what: str) -> Finding:
    (finding,) = of(settings, what)
    return finding


def test_machine_that_has_everything_is_fine(settings: BundleSettings) -> None:
    states = {finding.what: finding.state for finding in doctor.examine(settings)}
    assert states.pop("bundle") == FAULT  # this folder holds none
    assert set(states.values()) == {FINE}
    assert {"Python", "trainer", "server", "GPUs", "base model", "disk", "port"} <= set(states)


@pytest.mark.fault(
    "a machine lacks trainer, server, GPUs, base model, disk and port for a bundle",
    "one call of its doctor names all of them, each with its remedy",
    kind="dependencies",
)
def test_all_faults_are_told_at_once_each_with_its_remedy(
    make_build: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = Unpacked(make_build(), tmp_path / "there", python=sys.executable)
    shutil.rmtree(unpacked.tools)
    unpacked.tools.mkdir()
    packed = unpacked.folder / "screens" / "packed.json"
    document = json.loads(packed.read_text())
    document["needs"]["checkpoint_bytes"] = 1 << 60
    packed.write_text(json.dumps(document))
    write_python(unpacked.python, sys.executable, "-I", "-S")
    with Loopback() as server:
        port = server.url.split(":")[2].partition("/")[0]
        done = unpacked.go("doctor", CPU="", MODEL=str(tmp_path / "no"), PORT=port)
    assert done.returncode == 1
    faults = [line.split()[1].rstrip(":") for line in done.stdout.splitlines() if line.startswith("FAULT")]
    assert set(faults) == {"bundle", "Python", "trainer", "server", "GPUs", "base", "disk", "port"}
    lines = done.stdout.splitlines()
    for at, line in enumerate(lines):
        if line.startswith("FAULT"):
            assert lines[at + 1].startswith("         "), line
    assert f"{len(faults)} faults" in lines[-1]


def test_doctor_needs_the_standard_library_alone() -> None:
    """Of the modules that a bundle carries it imports only those that need no package."""
    code = (
        "import sys; from datakit.handoff import bundle_command; "
        "print([name for name in sys.modules if name.split('.')[0] in "
        f"{(*light.PACKAGES, 'orjson', 'click', 'yaml')!r}])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(light.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "[]"
    assert {"PIL" if name == "pillow" else name for name in PACKAGES} == set(light.PACKAGES)


def test_trainer_that_does_not_start_is_told_with_its_last_words(
    settings: BundleSettings, machine: Path
) -> None:
    broken = machine / "llamafactory-cli"
    broken.write_text("#!/bin/sh\necho starting\necho 'ImportError: libcudart.so.12' >&2\nexit 1\n")
    finding = only(settings, "trainer")
    assert (finding.state, "ImportError: libcudart.so.12" in finding.message) == (FAULT, True)
    assert f"{broken} version" in finding.remedy


def test_another_version_of_the_trainer_is_a_warning(settings: BundleSettings, machine: Path) -> None:
    program = machine / "llamafactory-cli"
    program.write_text("#!/bin/sh\necho '| Welcome to LLaMA Factory, version 0.9.6.dev0 |'\n")
    finding = only(settings, "trainer")
    assert (finding.state, "0.9.6.dev0" in finding.message, "0.9.5" in finding.message) == (
        WARNING,
        True,
        True,
    )


def test_trainer_is_found_by_command_python_and_folder(settings: BundleSettings, tmp_path: Path) -> None:
    program = fake_trainer.install(tmp_path / "environment" / "bin")
    write_python(program.parent / "python3")
    for given in (program, program.parent / "python3", tmp_path / "environment"):
        assert trainer_program(replace(settings, trainer=str(given))) == str(program)
    finding = only(replace(settings, trainer="/nowhere/llamafactory-cli"), "trainer")
    assert (finding.state, "/nowhere" in finding.message) == (FAULT, True)


def test_packages_that_the_trainer_refuses_are_told(
    settings: BundleSettings, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts: dict[str, Any] = {"versions": {"transformers": "5.17.0"}, "gpus": 0}
    facts["wrong"] = ["transformers is 5.17.0, and LLaMA-Factory wants <=5.6.0"]
    answer = machine / "facts"
    answer.write_text(json.dumps(facts))
    python = machine / "python"
    python.write_text(f"#!/bin/sh\nexec /bin/cat {answer}\n")
    python.chmod(0o755)
    program = machine / "llamafactory-cli"
    program.write_text("#!/bin/sh\necho LLaMA Factory, version 0.9.5\n")
    wanted = replace(settings, cpu=False, needs=replace(settings.needs, mode="z3_offload"))
    wrong, deepspeed = of(wanted, "trainer's packages")
    assert (wrong.state, deepspeed.state) == (FAULT, FAULT)
    assert "5.17.0" in wrong.message
    assert "pip install deepspeed" in deepspeed.remedy
    assert "sees 0 GPUs" in only(wanted, "trainer's torch").message
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")
    assert of(wanted, "trainer's packages")[0].state == WARNING


def test_server_that_does_not_start_is_told(settings: BundleSettings, machine: Path) -> None:
    (machine / "vllm").write_text("#!/bin/sh\necho 'undefined symbol: _ZN3c10' >&2\nexit 127\n")
    finding = only(settings, "server")
    assert (finding.state, "undefined symbol" in finding.message) == (FAULT, True)
    gone = only(replace(settings, vllm="vllm-of-nowhere"), "server")
    assert (gone.state, "VLLM=" in gone.remedy) == (FAULT, True)


@pytest.mark.parametrize(
    ("lines", "gpus", "state", "words"),
    [
        (["0, NVIDIA H100, 81559, 81000"], 1, FINE, "NVIDIA H100 (79.1 of 79.6 GiB free)"),
        (["0, NVIDIA H100, 81559, 81000"], 2, FAULT, "wants 2 GPUs on this node, there are 1"),
        (["0, NVIDIA H100, 81559, 9000"], 1, FAULT, "GPU 0 is NVIDIA H100 (8.8 of 79.6 GiB free)"),
        (["0, RTX 4060, 8188, 8000"], 1, WARNING, "20.0 GiB of each GPU by an estimate"),
        (["0, MIG, [N/A], [N/A]"], 1, FAULT, "there are 0"),
        ([], 1, FAULT, "there are 0"),
    ],
)
def test_gpus_are_judged_by_number_and_free_memory(
    settings: BundleSettings, machine: Path, lines: list[str], gpus: int, state: str, words: str
) -> None:
    write_smi(machine, *lines)
    needs = replace(settings.needs, gpu_bytes=20 * GIB)
    finding = only(replace(settings, cpu=False, gpus=gpus, needs=needs), "GPUs")
    assert (finding.state, words in finding.message) == (state, True), finding.text
    assert finding.state == FINE or finding.remedy


def test_hidden_gpus_do_not_count(
    settings: BundleSettings, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_smi(machine, "0, A, 81559, 100", "1, B, 81559, 81000")
    needs = replace(settings.needs, gpu_bytes=20 * GIB)
    assert only(replace(settings, cpu=False, needs=needs), "GPUs").state == FAULT
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert only(replace(settings, cpu=False, needs=needs), "GPUs").state == FINE
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    finding = only(replace(settings, cpu=False, needs=needs), "GPUs")
    assert (finding.state, "CUDA_VISIBLE_DEVICES" in finding.message) == (FAULT, True)


def test_driver_that_does_not_answer_is_told(settings: BundleSettings, machine: Path) -> None:
    write_smi(machine, "Failed to initialize NVML: Driver/library version mismatch", code=18)
    finding = only(replace(settings, cpu=False), "GPUs")
    assert (finding.state, "version mismatch" in finding.message) == (FAULT, True)


def test_server_that_wants_more_gpus_than_the_training_is_told(
    settings: BundleSettings, machine: Path
) -> None:
    write_smi(machine, "0, NVIDIA H100, 81559, 81000")
    needs = replace(settings.needs, serve_gpus=2)
    finding = only(replace(settings, cpu=False, needs=needs), "GPUs")
    assert (finding.state, "the server wants 2" in finding.message) == (FAULT, True)


def test_base_model_is_looked_at_where_it_is_a_folder(settings: BundleSettings, tmp_path: Path) -> None:
    base = tmp_path / "other"
    shutil.copytree(settings.model, base)
    mine = replace(settings, model=str(base), model_given=True)
    assert only(mine, "base model").state == FINE
    (base / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}')
    assert "model-2.safetensors" in only(mine, "base model").message
    (base / "preprocessor_config.json").unlink()
    assert "processor" in only(mine, "base model").message
    (base / "config.json").write_text('{"model_type": "qwen2"}')
    for name in ("model.safetensors.index.json",):
        (base / name).unlink()
    (base / "preprocessor_config.json").write_text("{}")
    finding = only(mine, "base model")
    assert (finding.state, "qwen2;" in finding.message, "qwen2_5_vl" in finding.message) == (
        FAULT,
        True,
        True,
    )
    (base / "config.json").unlink()
    (base / "adapter_config.json").write_text("{}")
    assert "LoRA adapter" in only(mine, "base model").message
    gone = replace(settings, model="/models/that/is/elsewhere")
    finding = only(gone, "base model")
    assert (finding.state, "when the build was made" in finding.message) == (FAULT, True)
    assert "MODEL=/folder" in finding.remedy


@contextmanager
def hub(code: int, body: bytes) -> Iterator[str]:
    """The address of a hub that gives this for every file."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/org/Model/resolve/main/config.json"
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("code", "body", "state", "words"),
    [
        (200, b'{"model_type": "qwen2_5_vl"}', FINE, "to be downloaded"),
        (200, b'{"model_type": "llava"}', FAULT, "of the type llava"),
        (404, b"", FAULT, "404"),
        (401, b"", FAULT, "401"),
        (200, b"<html>a page of a proxy</html>", FAULT, "cannot be reached"),
    ],
)
def test_base_model_of_a_hub_is_asked_for(
    settings: BundleSettings,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    body: bytes,
    state: str,
    words: str,
) -> None:
    with hub(code, body) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        finding = only(replace(settings, model="org/Model"), "base model")
    assert (finding.state, words in finding.message) == (state, True), finding.text


def test_base_model_in_the_cache_needs_no_network(
    settings: BundleSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    named = replace(settings, model="org/Model")
    finding = only(named, "base model")
    assert (finding.state, "cannot be reached" in finding.message) == (FAULT, True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in only(named, "base model").message
    shutil.copytree(settings.model, tmp_path / "hub" / "hub" / "models--org--Model" / "snapshots" / "abc")
    finding = only(named, "base model")
    assert (finding.state, "in the cache" in finding.message) == (FINE, True)


def test_disk_is_reckoned_with_what_stands_there_already(settings: BundleSettings) -> None:
    free = shutil.disk_usage(settings.folder).free
    needs = replace(settings.needs, checkpoint_bytes=free + (1 << 30), checkpoints=1)
    finding = only(replace(settings, needs=needs), "disk")
    assert (finding.state, "save_total_limit=1" in finding.remedy) == (FAULT, True)
    trained = settings.run / "trained"
    trained.mkdir(parents=True)
    with open(trained / "sparse", "wb") as file:
        file.truncate(free)
    assert only(replace(settings, needs=needs), "disk").state == FINE


@pytest.mark.parametrize(
    ("root", "key", "state", "words"),
    [("/other", "", FAULT, "PORT="), ("", "", FINE, ""), ("", "sk-of-others-1", FAULT, "VLLM_API_KEY")],
)
def test_port_of_another_server_is_told_and_that_of_ours_is_fine(
    settings: BundleSettings, machine: Path, root: str, key: str, state: str, words: str
) -> None:
    command = [machine / "vllm", "serve", root or settings.served, "--served-model-name", "x"]
    environment = {**os.environ, **({"VLLM_API_KEY": key} if key else {})}
    server = subprocess.Popen([*command, "--port", str(settings.port)], env=environment)
    try:
        until(lambda: listens(settings.port))
        finding = only(settings, "port")
    finally:
        server.kill()
        server.wait()
    assert (finding.state, words in finding.remedy) == (state, True), finding.text


def test_nodes_that_do_not_know_their_place_are_told(settings: BundleSettings) -> None:
    assert of(settings, "nodes") == []
    nodes = replace(settings, nodes=2, rank=2)
    rank, address = of(nodes, "nodes")
    assert "NODE_RANK" in rank.remedy
    assert "MASTER_ADDR" in address.remedy
    unknown = only(replace(nodes, rank=1, master="no.such.host.invalid"), "nodes")
    assert "no.such.host.invalid" in unknown.message
    assert of(replace(nodes, rank=1, master="127.0.0.1"), "nodes") == []


def test_memory_of_a_container_counts(settings: BundleSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "host_bytes", lambda: 8 * GIB)
    gpu = replace(settings, cpu=False, needs=replace(settings.needs, host_bytes=120 * GIB))
    assert of(gpu, "memory")[0].state == WARNING
    lines = {"/proc/meminfo": ["MemTotal:  1048576 kB"], "/sys/fs/cgroup/memory.max": ["536870912"]}
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "_lines", lambda path: lines.get(path, []))
    assert doctor.host_bytes() == 1 << 29


def test_server_elsewhere_needs_neither_trainer_nor_gpus(settings: BundleSettings, machine: Path) -> None:
    shutil.rmtree(machine)
    machine.mkdir()
    far = replace(settings, base_url="http://gpu-1:8000/v1", cpu=False, model="/nowhere")
    names = {finding.what for finding in doctor.examine(far) if finding.state == FAULT}
    assert names <= {"bundle"}


def test_bundle_of_before_is_told_to_be_packed_anew(make_build: Make, tmp_path: Path) -> None:
    archive = bundle(make_build(), tmp_path / "a.tar")
    assert archive.starts_with == "screens-bundle"
    import tarfile

    with tarfile.open(tmp_path / "a.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    packed = tmp_path / "screens-bundle" / "screens" / "packed.json"
    document = json.loads(packed.read_text())
    del document["training"], document["needs"]
    packed.write_text(json.dumps(document))
    with pytest.raises(Exception, match="does not say how to train"):
        BundleSettings.of(tmp_path / "screens-bundle", {}, {})
