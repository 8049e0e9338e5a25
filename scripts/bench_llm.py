#!/usr/bin/env python
"""Measures the calls of a build against a server on this machine, and other clients on the same work.

    python scripts/bench_llm.py                       # all sections but peers, about 6 minutes
    python scripts/bench_llm.py --only speed,images
    python scripts/bench_llm.py --only peers --peers  # installs distilabel and bespokelabs-curator

Sections: speed (64 in flight, 200 ms), images (256 in flight, 100 KB each), memory (512 in flight), limits
(servers that allow so many requests or tokens a minute), worlds (every failure mixed at 20%), kill (kill -9
at half way, then again), peers. The server is tests/support/loopback.py in a process of its own. The client
is the whole engine with its result store, in a process of its own, unless a line says otherwise. CPU seconds
are those of the client's process; wall time depends on what else the machine does: compare lines of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = ("speed", "images", "memory", "limits", "worlds", "kill", "peers")
LATENCY_S = 0.2
PICTURE_BYTES, PICTURES = 100_000, 64
sys.path.insert(0, str(ROOT))


def main() -> int:
    """Runs the sections and prints a line for each figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--only", default=",".join(SECTIONS[:-1]), help=f"some of {', '.join(SECTIONS)}")
    parser.add_argument("--peers", action="store_true", help="let the section peers install packages")
    parser.add_argument("--json", action="store_true", help="speed and images as JSON, in the last line")
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=75.0, help="length of each run of limits")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        work = json.loads(arguments.child)
        print(json.dumps(CHILDREN[work.pop("way")](**work)))
        return 0
    sections: dict[str, Callable[[], dict[str, Any] | None]] = {
        "speed": lambda: speed(arguments.calls),
        "images": lambda: images(arguments.calls),
        "memory": lambda: memory(),
        "limits": lambda: limits(arguments.seconds),
        "worlds": lambda: worlds(arguments.calls),
        "kill": lambda: kill(),
        "peers": lambda: peers(arguments.peers),
    }
    figures: dict[str, dict[str, Any] | None] = {}
    for name in arguments.only.split(","):
        print(f"\n{name}")
        figures[name] = sections[name]()
    if arguments.json:
        print(json.dumps({name: value for name, value in figures.items() if value}))
    return 0


def speed(calls: int) -> dict[str, Any]:
    ideal = calls * LATENCY_S / 64
    with server() as url:
        engine = child(way="engine", url=url, records=calls, concurrency=64)
        show("64 in flight, 200 ms, engine and store", engine, calls, ideal)
        plain = child(way="plain", url=url, records=calls, concurrency=64)
        show("  plain AsyncOpenAI and a semaphore", plain, calls, ideal)
    return {"engine": engine, "plain": plain, "ideal_s": ideal}


def images(calls: int) -> dict[str, Any]:
    found: dict[str, Any] = {"ideal_s": calls * LATENCY_S / 256}
    with server() as url:
        for way, name in (("engine", "256 in flight, 100 KB each, engine and store"), ("plain", "  plain")):
            found[way] = child(way=way, url=url, records=calls, concurrency=256, pictures=True)
            show(name, found[way], calls, found["ideal_s"])
    return found


def memory() -> None:
    with server("--latency-s", "2") as url:
        figures = child(way="engine", url=url, records=2048, concurrency=512, pictures=True)
        grown = figures["peak_mb"] - figures["base_mb"]
        print(
            f"  512 in flight, 100 KB each: {grown:.0f} MB over {figures['base_mb']:.0f} MB before the calls"
        )


def limits(seconds: float) -> None:
    """Each server in turn allows 3,000 requests, or 360,000 tokens, a minute: 50 calls a second."""
    cases = [
        ("requests, bucket, given", ["--requests", "3000"], {"max_requests_per_minute": 3000.0}),
        ("requests, window, given", ["--requests", "3000", "--kind", "window"], "given"),
        ("requests, bucket, from headers", ["--requests", "3000"], {}),
        ("requests, window, from headers", ["--requests", "3000", "--kind", "window"], {}),
        ("tokens, bucket, given", ["--tokens", "360000"], {"max_tokens_per_minute": 360000.0}),
        ("tokens, window, from headers", ["--tokens", "360000", "--kind", "window"], {}),
        ("requests, bucket, not told", ["--requests", "3000", "--silent"], {}),
    ]
    runs = []
    for name, options, llm in cases:
        settings = {"max_requests_per_minute": 3000.0} if llm == "given" else dict(llm)
        runs.append((name, options, settings))
    threads = [threading.Thread(target=_limited, args=(*run, seconds)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _limited(name: str, options: list[str], llm: dict[str, Any], seconds: float) -> None:
    with server(*options) as url:
        child(way="engine", url=url, records=20_000, concurrency=64, llm=llm, stop_after_s=seconds)
        statistics = stats(url)
    answered, refused = statistics["replies"].get("200", 0), statistics["replies"].get("429", 0)
    rate = answered / max(statistics["seconds"], 1e-9)
    print(
        f"  {name}: {rate / 50:.1%} of the allowed rate over {statistics['seconds']:.0f} s, "
        f"{refused / statistics['count']:.2%} of {statistics['count']:,} answers were 429"
    )


def worlds(records: int) -> None:
    from tests.support.bad_world import TIMEOUT_S, faults

    with server("--bad", "--latency-s", "0.05") as url:
        llm = {"timeout_s": TIMEOUT_S, "max_retries": 3}
        figures = child(way="engine", url=url, records=records, concurrency=256, llm=llm, read_back=True)
        wrong = faults(records, stats(url), figures)
    print(
        f"  {records:,} records, a fifth of all calls failing, 256 in flight: {figures['seconds']:.1f} s, "
        f"memory grew by {figures['peak_mb'] - figures['base_mb']:.0f} MB; {wrong or 'no fault found'}"
    )
    print(f"  records: {figures['states']}")
    print(f"  requests: {figures['attempts']}, {sum(figures['attempts'].values()):,} in all")


def kill() -> None:
    """2,000 calls; kill -9 once half of them have arrived; the same again."""
    with server() as url, tempfile.TemporaryDirectory() as folder:
        work = {"way": "engine", "url": url, "records": 2000, "concurrency": 64, "folder": folder}
        first = subprocess.Popen([sys.executable, __file__, "--child", json.dumps(work)], env=environment())
        while stats(url)["count"] < 1000:
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
        first.wait()
        child(**work)
        again = stats(url)["count"] - 2000
        began = time.monotonic()
        figures = child(**work)
        print(
            f"  kill -9 at half of 2,000 calls: {again} calls repeated (64 were in flight); a run with "
            f"nothing to do: {time.monotonic() - began:.1f} s with start-up, {figures['calls']} calls"
        )


def peers(install: bool) -> None:
    from llm_peers import compare, ours

    compare(install, server, stats, environment(), ours(__file__))


def show(name: str, figures: dict[str, Any], calls: int, ideal_s: float) -> None:
    """One line of figures."""
    print(
        f"  {name}: {figures['seconds']:.2f} s, {figures['seconds'] / ideal_s:.3f} of ideal, "
        f"{calls / figures['seconds']:.0f} requests/s, {figures['cpu_s'] / calls * 1000:.2f} ms CPU a call"
    )


def engine(
    url: str,
    records: int,
    concurrency: int,
    pictures: bool = False,
    llm: dict[str, Any] | None = None,
    folder: str | None = None,
    stop_after_s: float | None = None,
    read_back: bool = False,
) -> dict[str, Any]:
    """The calls as a build makes them: read, look up, ask, store, join."""
    import aiohttp  # noqa: F401 (imported before the clock starts, as by any client that runs for long)
    import openai.resources.chat  # noqa: F401

    if folder is None:
        folder = tempfile.mkdtemp(prefix="bench-llm-")
    project = Path(folder)
    recipe = _project(project, url, records, concurrency, pictures, llm or {})
    if stop_after_s is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        threading.Timer(stop_after_s, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    from dataclasses import replace

    from datakit.core.files import FileDigests
    from datakit.library import load
    from datakit.run.engine import Engine
    from datakit.run.store import Store

    loaded = load(recipe)
    store = Store(project / ".datakit")
    context = replace(loaded.context(), files=FileDigests(store))
    run = Engine(context, store, project / "work")
    with Memory() as memory, Clock() as clock:
        try:
            stage = run.run(loaded.steps)
        except KeyboardInterrupt:
            return {}
    step = run.reports[-1]
    figures = {
        "seconds": step.seconds,
        "cpu_s": clock.cpu_s,
        "calls": step.calls,
        "attempts": step.attempts,
        "states": {"ok": step.records_out, "rejected": step.rejected, "retry": step.retry},
        "base_mb": memory.base_mb,
        "peak_mb": memory.peak_mb,
    }
    if read_back:
        rows = stage.lazy().select("id", "answer").collect().rows()
        rejects = (project / "work" / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
        figures |= {"rows": rows, "rejects": [json.loads(line) for line in rejects]}
    return figures


def _project(
    project: Path, url: str, records: int, concurrency: int, pictures: bool, llm: dict[str, Any]
) -> Path:
    """A recipe with its data; left as it is when it is there."""
    recipe = project / "recipes" / "bench.yaml"
    if recipe.exists():
        return recipe
    (project / "recipes").mkdir(parents=True)
    (project / "templates").mkdir()
    (project / "templates" / "ask.j2").write_text("请看图，说说它是什么。[id:{{ id }}]", encoding="utf-8")
    names = list(make_pictures(project)) if pictures else []
    with open(project / "rows.jsonl", "w", encoding="utf-8") as rows:
        for number in range(records):
            row: dict[str, Any] = {"id": f"r{number}", "label": "物流"}
            if names:
                row["image"] = names[number % len(names)]
            rows.write(json.dumps(row, ensure_ascii=False) + "\n")
    image = ", image: image" if pictures else ""
    kind = "describe" if pictures else "reason"
    settings = {"provider": "openai", "base_url": url, **llm}
    recipe.write_text(
        f"""version: 1
name: bench
llm: {json.dumps(settings)}
steps:
  - read.jsonl: {{path: ../rows.jsonl, label: label{image}}}
  - annotate.{kind}: {{template: ask.j2, into: answer}}
emit:
  - llamafactory: {{}}
run: {{concurrency: {concurrency}}}
""",
        encoding="utf-8",
    )
    return recipe


def make_pictures(folder: Path) -> Iterator[str]:
    """JPEG files of about 100 KB."""
    from PIL import Image

    for number in range(PICTURES):
        noise = random.Random(number).randbytes(400 * 300 * 3)
        path = folder / f"{number}.jpg"
        Image.frombytes("RGB", (400, 300), noise).save(path, quality=84)
        yield f"{path.name}"


def plain(url: str, records: int, concurrency: int, pictures: bool = False) -> dict[str, Any]:
    """What one writes without datakit: AsyncOpenAI, a semaphore, gather; nothing is stored."""
    import asyncio
    import base64

    from openai import AsyncOpenAI

    names = []
    if pictures:
        folder = Path(tempfile.mkdtemp(prefix="bench-llm-"))
        names = [folder / name for name in make_pictures(folder)]

    async def go() -> None:
        client, gate = AsyncOpenAI(base_url=url), asyncio.Semaphore(concurrency)

        async def ask(number: int) -> str | None:
            async with gate:
                content: Any = f"请看图，说说它是什么。[id:r{number}]"
                if names:
                    data = base64.b64encode(names[number % len(names)].read_bytes()).decode()
                    address = {"url": f"data:image/jpeg;base64,{data}"}
                    content = [
                        {"type": "text", "text": content},
                        {"type": "image_url", "image_url": address},
                    ]
                reply = await client.chat.completions.create(
                    model="gpt-4o-mini", messages=[{"role": "user", "content": content}], max_tokens=512
                )
                return reply.choices[0].message.content

        await asyncio.gather(*(ask(number) for number in range(records)))

    with Clock() as clock:
        asyncio.run(go())
    return {"seconds": clock.wall_s, "cpu_s": clock.cpu_s}


CHILDREN: dict[str, Callable[..., dict[str, Any]]] = {"engine": engine, "plain": plain}


class Clock:
    """Wall and CPU seconds of this process."""

    def __enter__(self) -> Clock:
        self._wall, self._cpu = time.perf_counter(), _cpu_s()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall_s, self.cpu_s = time.perf_counter() - self._wall, _cpu_s() - self._cpu


class Memory:
    """Resident memory of this process before, and at most."""

    def __enter__(self) -> Memory:
        import psutil

        self._process, self._over = psutil.Process(), threading.Event()
        self.base_mb = self.peak_mb = self._process.memory_info().rss / 1e6
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.peak_mb = max(self.peak_mb, self._process.memory_info().rss / 1e6)

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def environment() -> dict[str, str]:
    """Of the processes: the server's key, this checkout, and compiled bytecode."""
    from tests.support.loopback import KEY

    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**variables, "OPENAI_API_KEY": KEY, "PYTHONPATH": str(ROOT)}


def child(**work: Any) -> dict[str, Any]:
    """The figures of some work in a process of its own."""
    command = [sys.executable, __file__, "--child", json.dumps(work)]
    process = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, check=True)
    return dict(json.loads(process.stdout))


@contextmanager
def server(*options: str) -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, "-m", "tests.support.loopback", *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.stdout.read()


def stats(url: str) -> dict[str, Any]:
    """What the server saw."""
    with urllib.request.urlopen(f"{url}/stats") as reply:
        return dict(json.loads(reply.read()))


if __name__ == "__main__":
    sys.exit(main())
