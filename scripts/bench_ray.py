"""What Ray adds to work on one machine: the same records by the local executors and on a cluster of one node.

    python scripts/bench_ray.py [--pictures 400] [--calls 400] [--rows 20000] [--workers 2]

Pictures are read by annotate.image_facts (worker processes beside actors), calls go to a server on this
machine that takes 0.2 s each (the event loop beside actors). Seconds are those from the first job to the last
outcome, once without and once with the start of the workers; the ratio is Ray's to local's.

Prompts are rendered by render.chat with 25 labels and 300 characters of OCR text, in batches as in a build:
here, and by actors that are started already and get two batches ahead, the best that Ray can do. Microseconds
a record, and those of them that the way takes without any work. `render` has a template whose constant part
datakit writes once, `render_whole` one whose loop over the lines is run for each record.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import polars as pl
from PIL import Image

from datakit.annotate.ask import Ask
from datakit.annotate.image_facts import ImageFacts
from datakit.core.factored_chats import FactoredChats
from datakit.core.labels import load_labels
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator
from datakit.render.chat import Chat
from datakit.run.executors import executor_for, ray_cluster
from datakit.run.executors.base import Job
from tests.support.loopback import KEY, Loopback

ROOT = Path(__file__).resolve().parent.parent
CONCURRENCY = 64
LABELS = "templates/ecom/labels.yaml"
HEAD = "<image>请判断这张图片属于下列哪一个类别。\n{{ label_json }}\n图中文字："
PROMPTS = {
    "render": HEAD + "{{ ocr_text }}",
    "render_whole": HEAD + "{% for line in ocr_text.splitlines() %}{{ line }}\n{% endfor %}",
}


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


def rendered_by(worker: Any) -> Callable[[pl.DataFrame], Any]:
    """The rendering of a batch as builds do it: without what its chats share."""
    return lambda frame: worker.factored(FactoredChats(frame))


class Renders:
    """An actor that renders batches, or gives them back as they are."""

    def __init__(self, work: bytes) -> None:
        renderer, context, frame = pickle.loads(work)
        self._render = rendered_by(renderer.start(context, frame.lazy()))

    def rendered(self, frame: pl.DataFrame, idle: bool) -> Any:
        """The batch with its messages; `idle`: without."""
        return frame if idle else self._render(frame)


def rendering(folder: Path, prompt: str, rows: int, workers: int) -> dict[str, float]:
    """Microseconds a record of render.chat: here, in actors, and of the way to actors alone."""
    labels = load_labels(ROOT / LABELS)
    context = StepContext(base=folder, project=folder, labels=labels)
    (folder / "templates" / "prompt.j2").write_text(prompt, "utf-8")
    chat = Chat(prompt="prompt.j2", answer="label_only", max_chars=None)
    text = "\n".join(["订单支付物流退款页面商品详情评价店铺优惠券加入购物车立即购买"] * 10)
    columns: dict[str, Any] = {"id": [f"r{n}" for n in range(rows)], "images": [["/a.png"]] * rows}
    columns |= {"label": [labels.names[n % len(labels.names)] for n in range(rows)]}
    columns |= {"ocr_text": [f"{n}\n{text}" for n in range(rows)]}
    columns |= {"source_file": ["a.jsonl"] * rows, "source_line": range(rows)}
    frame = pl.DataFrame(columns)
    batches = list(frame.iter_slices(context.run.batch_rows))
    render = rendered_by(chat.start(context, frame.lazy()))
    ray = ray_cluster.package()
    work = pickle.dumps((chat, context, frame[:10]))
    actors = [ray.remote(Renders).options(num_cpus=1).remote(work) for _ in range(workers)]
    ray.get([actor.rendered.remote(frame[:10], False) for actor in actors])

    def far(idle: bool) -> None:
        waiting: list[Any] = []
        for number, batch in enumerate(batches):
            if len(waiting) == 2 * workers:
                ray.get(waiting.pop(0))
            waiting.append(actors[number % workers].rendered.remote(batch, idle))
        ray.get(waiting)

    def us(work: Callable[[], Any]) -> float:
        began = time.perf_counter()
        work()
        return round((time.perf_counter() - began) / rows * 1e6, 1)

    figures = {
        "records": rows,
        "local_us": us(lambda: [render(batch) for batch in batches]),
        "ray_us": us(lambda: far(False)),
        "way_alone_us": us(lambda: far(True)),
    }
    for actor in actors:
        ray.kill(actor)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--rows", type=int, default=20_000)
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
            **{name: rendering(folder, text, given.rows, given.workers) for name, text in PROMPTS.items()},
        }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
