"""What Ray adds to work on one machine: the same records by the local executors and on a cluster of one node.

    python scripts/bench_ray.py [--pictures 400] [--calls 400] [--workers 2]

Pictures are read by annotate.image_facts (worker processes beside actors), calls go to a server on this
machine that takes 0.2 s each (the event loop beside actors). Seconds are those from the first job to the last
outcome, once without and once with the start of the workers; the ratio is Ray's to local's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from datakit.annotate.ask import Ask
from datakit.annotate.image_facts import ImageFacts
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator
from datakit.run.executors import executor_for, ray_cluster
from datakit.run.executors.base import Job
from tests.support.loopback import KEY, Loopback

CONCURRENCY = 64


def seconds(annotator: Annotator, context: StepContext, jobs: list[Job]) -> tuple[float, float]:
    """Seconds for all jobs, and those from the first outcome to the last."""
    began = time.perf_counter()
    first = count = 0
    for answered in executor_for(annotator, context).run(iter(jobs)):
        if answered and not first:
            first = time.perf_counter()
        count += len(answered)
    ended = time.perf_counter()
    assert count == len(jobs)
    return ended - began, ended - first


def compare(annotator: Annotator, context: StepContext, jobs: list[Job]) -> dict[str, float]:
    """Local beside Ray."""
    far = context.changed(run=context.run.model_copy(update={"executor": "ray"}))
    local_s, local_steady_s = seconds(annotator, context, jobs)
    ray_s, ray_steady_s = seconds(annotator, far, jobs)
    return {
        "records": len(jobs),
        "local_s": round(local_s, 2),
        "ray_s": round(ray_s, 2),
        "ratio": round(ray_s / local_s, 2),
        "ratio_without_start": round(ray_steady_s / local_steady_s, 2),
    }


def pictures(folder: Path, count: int) -> Iterator[Job]:
    """Screens of 1080 x 2400 in JPEG, each of its own."""
    noise = np.random.default_rng(7).integers(0, 255, (60, 27, 3), dtype=np.uint8)
    for number in range(count):
        path = folder / f"{number}.jpg"
        Image.fromarray(np.roll(noise, number, 0)).resize((1080, 2400)).save(path, quality=85)
        yield Job(b"%d" % number, {"images": [str(path)]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    os.environ.setdefault("RAY_ADDRESS", "local")
    os.environ["OPENAI_API_KEY"] = KEY
    with tempfile.TemporaryDirectory() as name, Loopback(latency_s=0.2) as server:
        folder = Path(name)
        (folder / "templates").mkdir()
        (folder / "templates" / "ask.j2").write_text("[id:{{ id }}]", "utf-8")
        run = RunSettings(workers=given.workers, concurrency=CONCURRENCY)
        llm = LlmSettings(provider="openai", base_url=server.url)
        context = StepContext(base=folder, project=folder, run=run, llm=llm)
        ray_cluster.connect(given.workers)
        asked = [Job(b"%d" % n, {"id": f"r{n}", "images": []}, llm.model) for n in range(given.calls)]
        ask = Ask(template="ask.j2", answer={"word": "text"})
        figures = {
            "pictures": compare(ImageFacts(), context, list(pictures(folder, given.pictures))),
            "calls": compare(ask, context.pinned(), asked),
        }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
