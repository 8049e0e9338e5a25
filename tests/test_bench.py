"""The runner of the benchmarks: what it tells of one that works, fails, hangs or cannot run, and its page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import bench  # noqa: E402
from benchmarks import page, peers, runner  # noqa: E402
from benchmarks.table import BENCHMARKS, Benchmark, Figure, Goal  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
WORKS = """
import json, sys
block = bytearray(80 * 2**20)
print("a line for people")
print(json.dumps({"ours": {"s": 3.0}, "peer": {"s": 2.0}, "words": sys.argv[1:]}))
"""
SECONDS = Figure("seconds", "ours/s", "peer/s", "the loop", goal=Goal("<=", 1.2, full=True))


def fake(folder: Path, text: str, **more: object) -> tuple[Benchmark, ...]:
    (folder / "bench_fake.py").write_text(text, "utf-8")
    return (Benchmark("fake", "a thing that is measured", (SECONDS,), ("small",), ("full",), **more),)  # type: ignore[arg-type]


def results(folder: Path, table: tuple[Benchmark, ...], *words: str) -> tuple[int, dict[str, object]]:
    path = folder / "results.json"
    status = bench.main(["--json", str(path), *words], table, folder)
    return status, json.loads(path.read_text("utf-8"))["benchmarks"][0]


def test_a_benchmark_tells_ratio_costs_machine_and_versions(tmp_path: Path) -> None:
    status, entry = results(tmp_path, fake(tmp_path, WORKS))
    assert (status, entry["status"], entry["size"]) == (0, "ran", "small")
    figure = entry["figures"][0]  # type: ignore[index]
    assert (figure["ours"], figure["peer"], figure["ratio"]) == (3.0, 2.0, 1.5)
    assert entry["numbers"]["words"] == ["small"]  # type: ignore[index]
    assert 80 < entry["peak_mb"] < 1000  # type: ignore[operator]
    assert entry["cpu_s"] > 0  # type: ignore[operator]
    assert {"python", "polars", "pillow"} <= set(entry["versions"])  # type: ignore[call-overload]
    assert {"cores", "cpu", "memory_mb"} <= set(entry["machine"])  # type: ignore[call-overload]


def running(pid: int) -> bool:
    """Whether a process lives: one that was killed may wait for its parent to hear of it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_memory_of_the_process_that_measures_is_not_the_benchmarks(tmp_path: Path) -> None:
    small = tmp_path / "bench_small.py"
    small.write_text("print('{}')", "utf-8")
    code = """
import sys
from benchmarks.cost import measured
large = bytearray(600 * 2**20)
print(measured([sys.executable, sys.argv[1]], stdout=sys.stderr).peak_mb)
"""
    command = [sys.executable, "-c", code, str(small)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "scripts")
    assert 5 < float(run.stdout) < 100


def test_a_goal_of_full_size_is_judged_at_full_size_alone(tmp_path: Path) -> None:
    table = fake(tmp_path, WORKS)
    small, full = results(tmp_path, table)[1], results(tmp_path, table, "--full")[1]
    assert "reached" not in small["figures"][0]  # type: ignore[index]
    assert full["figures"][0]["reached"] is False  # type: ignore[index]
    assert full["numbers"]["words"] == ["full"]  # type: ignore[index]


def test_a_failing_benchmark_is_told_with_its_last_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, entry = results(tmp_path, fake(tmp_path, "raise SystemExit('the disk is <full>')"))
    assert (status, entry["status"]) == (1, "failed")
    assert "ended with 1" in str(entry["why"])
    assert "the disk is <full>" in str(entry["why"])
    assert "failed" in capsys.readouterr().out
    assert "the disk is &lt;full>" in page.page(tmp_path / "results.json")


def test_a_benchmark_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    text = f"""
import subprocess
process = subprocess.Popen(["sleep", "600"])
open({str(child)!r}, "w").write(str(process.pid))
process.wait()
"""
    status, entry = results(tmp_path, fake(tmp_path, text), "--timeout-s", "2")
    assert status == 1
    assert "stopped after 2 s" in str(entry["why"])
    assert entry["exit"] == -9
    assert not running(int(child.read_text()))


def test_a_missed_bound_of_its_own_is_told_beside_its_figures(tmp_path: Path) -> None:
    status, entry = results(tmp_path, fake(tmp_path, WORKS + "raise SystemExit(1)"))
    assert (status, entry["status"], entry["exit"]) == (0, "ran", 1)
    assert "a bound of its own is missed" in page.page(tmp_path / "results.json")


def test_a_missing_package_is_told_with_what_to_install(tmp_path: Path) -> None:
    table = fake(tmp_path, WORKS, packages=("no-such-peer",), install="pip install no-such-peer")
    status, entry = results(tmp_path, table)
    assert (status, entry["status"]) == (0, "not run")
    assert "no-such-peer is not installed. Install: pip install no-such-peer" in str(entry["why"])
    assert "no-such-peer is not installed" in page.page(tmp_path / "results.json")


def test_a_missing_program_is_told(tmp_path: Path) -> None:
    (benchmark,) = fake(tmp_path, WORKS, programs=("no-such-program|/no/such/*/program",), install="apt")
    assert runner.missing(benchmark) == "no-such-program is not installed. Install: apt"


def test_a_number_that_the_peer_did_not_give_says_how_to_get_it(tmp_path: Path) -> None:
    text = 'print(\'{"ours": {"s": 3.0}}\')'
    _, entry = results(tmp_path, fake(tmp_path, text, peers=("imagehash",)))
    figure = entry["figures"][0]  # type: ignore[index]
    assert (figure["peer"], figure["ratio"]) == (None, None)
    assert figure["why"] == "--peers FOLDER installs imagehash"


def test_an_environment_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "peers").write_text("a file where the folder should be", "utf-8")
    table = fake(tmp_path, WORKS, peers=("imagehash",))
    _, entry = results(tmp_path, table, "--peers", str(tmp_path / "peers"))
    assert entry["status"] == "ran"
    assert "no environment: " in str(entry["peers"])


def test_an_environment_has_its_own_interpreter_and_is_made_once(tmp_path: Path) -> None:
    python = peers.peer_python(tmp_path, ("pip",))
    assert python.is_file()
    assert peers.peer_version(python, "pip")
    began = python.stat().st_ctime_ns
    assert peers.peer_python(tmp_path, ("pip",)).stat().st_ctime_ns == began


def test_only_keeps_the_entries_of_the_others(tmp_path: Path) -> None:
    (one,) = fake(tmp_path, WORKS)
    other = Benchmark("other", "another thing", (SECONDS,), script="bench_fake.py")
    path = tmp_path / "results.json"
    bench.main(["--json", str(path)], (one, other), tmp_path)
    bench.main(["--json", str(path), "--only", "other"], (one, other), tmp_path)
    names = [entry["name"] for entry in json.loads(path.read_text("utf-8"))["benchmarks"]]
    assert names == ["fake", "other"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"benchmarks": [1]}', "\xff"])
def test_a_damaged_results_file_is_told_and_kept(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    path.write_text(text, "latin-1")
    assert bench.main(["--json", str(path), "--only", "fake"], fake(tmp_path, WORKS), tmp_path) == 2
    assert f"{path} holds no results of this command" in capsys.readouterr().err
    assert path.read_text("latin-1") == text


def test_an_unknown_name_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--only", "rendr"]) == 2
    assert "render" in capsys.readouterr().err


def test_list_names_every_benchmark_and_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert all(benchmark.name in shown for benchmark in BENCHMARKS)
    assert "needs a GPU" in shown


def test_every_benchmark_script_stands_in_the_table() -> None:
    scripts = {path.name for path in (ROOT / "scripts").glob("bench_*.py")}
    assert scripts
    assert scripts == {benchmark.file for benchmark in BENCHMARKS}


def test_every_benchmark_stands_in_the_committed_results_and_on_the_page() -> None:
    entries = json.loads(page.RESULTS.read_text("utf-8"))["benchmarks"]
    assert [entry["name"] for entry in entries] == [benchmark.name for benchmark in BENCHMARKS]
    shown = PAGE.read_text("utf-8")
    assert all(entry["name"] in shown for entry in entries)


def test_the_page_is_what_the_results_give() -> None:
    assert PAGE.read_text("utf-8") == page.page()
