"""Every benchmark of this folder: how it is called in two sizes, and which of its numbers are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """What a figure must reach."""

    word: str
    """`<=` or `>=`."""
    bound: float
    of: str = "ratio"
    """Which number is judged: ratio or ours."""
    full: bool = False
    """Only judged at full size, for which it is meant."""

    def reached(self, value: float) -> bool:
        """Whether the number is at the bound or on its good side."""
        return value <= self.bound if self.word == "<=" else value >= self.bound


@dataclass(frozen=True)
class Figure:
    """One line of the results: our number beside the peer's."""

    what: str
    """With the unit."""
    ours: str
    """Keys of the benchmark's JSON, with `/` between them."""
    peer: str = ""
    """Keys of the peer's number; empty where our number stands alone."""
    peer_name: str = ""
    ratio: str = ""
    """Keys of the ratio; empty where it is ours divided by the peer's."""
    goal: Goal | None = None


@dataclass(frozen=True)
class Benchmark:
    """One script, and what of it is told."""

    name: str
    measures: str
    figures: tuple[Figure, ...]
    small: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    script: str = ""
    """Its file in scripts/; bench_NAME.py where empty."""
    packages: tuple[str, ...] = ()
    """Distributions without which it cannot run."""
    programs: tuple[str, ...] = ()
    """Commands without which it cannot run: one of those with `|` between them."""
    by_hand: str = ""
    """Why it is never run from here."""
    install: str = ""
    """What to do where something is missing."""
    peers: tuple[str, ...] = ()
    """Packages for an environment of their own (--peers), which the script takes as --peer-python."""

    @property
    def file(self) -> str:
        return self.script or f"bench_{self.name}.py"


def _picture(size: str) -> tuple[Figure, ...]:
    what = f"{size}: pictures a CPU second"
    return (
        Figure(what, f"{size}/pass", f"{size}/pillow whole", "Pillow's whole decode alone"),
        Figure(what, f"{size}/pass", f"{size}/imagehash", "imagehash, phash"),
        Figure(
            f"{size}: emitted smaller, pictures a CPU second",
            f"{size}/resized",
            f"{size}/pillow resized",
            "Pillow alone",
            goal=Goal(">=", 60, of="ours"),
        ),
    )


BENCHMARKS = (
    Benchmark(
        "render",
        "a build of rendered text records beside a hand-written jinja2 and orjson loop",
        (
            Figure("CPU s", "build/cpu_s", "hand/cpu_s", "the loop", "ratio", Goal("<=", 0.8, full=True)),
            Figure(
                "CPU s of build and check, over the build's",
                "checked/cpu_s",
                "build/cpu_s",
                "the build without its check",
                goal=Goal("<=", 2.5, full=True),
            ),
        ),
        ("--records", "4000", "--json"),
        ("--records", "200000", "--json"),
    ),
    Benchmark(
        "render_loop",
        "the same with a template that must be rendered whole for each record",
        (Figure("CPU s", "build/cpu_s", "hand/cpu_s", "the loop", "ratio", Goal("<=", 1.2, full=True)),),
        ("--records", "4000", "--prompt", "loop", "--json"),
        ("--records", "200000", "--prompt", "loop", "--json"),
        script="bench_render.py",
    ),
    Benchmark(
        "check",
        "datakit check; the trainer's own preprocessing is measured by hand, in its environment",
        (
            Figure("rows a CPU second", "check_per_s"),
            Figure(
                "rows a CPU second, a picture a row",
                "check_own_pictures_per_s",
                "check_per_s",
                "the check of rows that share 200 pictures",
            ),
        ),
        ("--rows", "4000", "--json"),
        ("--rows", "20000", "--json"),
    ),
    Benchmark(
        "images",
        "the one pass over a picture",
        (*_picture("720x1560"), *_picture("1080x2400")),
        ("--take", "12", "--rounds", "2", "--json"),
        ("--json",),
        peers=("imagehash",),
    ),
    Benchmark(
        "ocr",
        "annotate.ocr beside rapidocr as it comes, on drawn screens",
        (
            *(
                Figure(
                    f"{what}{variant}",
                    f"{name}/{measure}",
                    f"rapidocr/{measure}",
                    "rapidocr's defaults",
                    goal=goal,
                )
                for what, measure, goal in (
                    ("CPU s a screen", "cpu_s", Goal("<=", 0.15, of="ours")),
                    ("F1 of characters", "f1", Goal(">=", 0.99, of="ours")),
                )
                for name, variant in (("datakit", ""), ("int8", ", precision: int8, min_width_px: 48"))
            ),
        ),
        ("--take", "6", "--json"),
        ("--take", "200", "--json"),
        packages=("rapidocr",),
        install='pip install "datakit[ocr]"',
    ),
    Benchmark(
        "card",
        "the data card of a finished build alone, from the start of its process to its end",
        (
            Figure("card: wall s", "whole/card/wall_s", goal=Goal("<=", 60, "ours", full=True)),
            Figure("card: CPU s", "whole/card/cpu_s"),
            Figure("card: peak MB", "whole/card/peak_mb"),
            Figure("its page: MB", "whole/html_mb", goal=Goal("<=", 15, "ours", full=True)),
        ),
        ("--records", "2000", "--json"),
        ("--records", "1000000", "--json"),
    ),
    Benchmark(
        "incremental",
        "a build anew, unchanged and with one record edited, beside a plain loop over its files",
        (
            Figure("pictures, built: CPU s", "pictures/build/cpu_s", "pictures/floor/cpu_s", "the loop"),
            Figure(
                "pictures, one edited: CPU s",
                "pictures/edited/cpu_s",
                "pictures/floor/cpu_s",
                "the loop",
                goal=Goal("<=", 8, of="ours", full=True),
            ),
            Figure("texts, built: CPU s", "texts/build/cpu_s", "texts/floor/cpu_s", "the loop"),
            Figure(
                "texts, one edited: CPU s",
                "texts/edited/cpu_s",
                "texts/floor/cpu_s",
                "the loop",
                goal=Goal("<=", 10, of="ours", full=True),
            ),
            Figure("texts, built: peak MB", "texts/build/peak_mb", goal=Goal("<=", 500, "ours", full=True)),
        ),
        ("--pictures", "300", "--texts", "2000", "--json"),
        ("--pictures", "100000", "--texts", "1000000", "--json"),
    ),
    Benchmark(
        "llm",
        "calls of a build, 64 in flight against a server that takes 200 ms, beside the ideal",
        (
            Figure(
                "seconds",
                "speed/engine/seconds",
                "speed/ideal_s",
                "calls × 0.2 s / 64",
                goal=Goal("<=", 1 / 0.94, full=True),
            ),
            Figure("seconds", "speed/engine/seconds", "speed/plain/seconds", "AsyncOpenAI and a semaphore"),
        ),
        ("--only", "speed", "--calls", "1000", "--json"),
        ("--only", "speed,images", "--calls", "5000", "--json"),
    ),
    Benchmark(
        "near_texts",
        "near-duplicate texts, planted pairs",
        (
            Figure(
                "CPU s",
                "cpu_seconds",
                "datasketch/cpu_seconds",
                "datasketch, MinHashLSH",
                goal=Goal("<=", 6, of="ours", full=True),
            ),
            Figure(
                "recall",
                "recall",
                "datasketch/recall",
                "datasketch, MinHashLSH",
                goal=Goal(">=", 0.98, of="ours"),
            ),
        ),
        ("--texts", "10000", "--json"),
        ("--texts", "100000", "--json"),
        peers=("datasketch",),
    ),
    Benchmark(
        "driver",
        "what one process carries for work that others do: keys, lookups, results stored and joined",
        (
            Figure(
                "first build: CPU s a million records",
                "first/cpu_s_a_million",
                "floor/cpu_s_a_million",
                "a bare SQLite table",
            ),
            Figure(
                "from the store: CPU s a million records",
                "again/cpu_s_a_million",
                "floor/cpu_s_a_million",
                "a bare SQLite table",
            ),
        ),
        ("--keys", "20000", "--json"),
        ("--keys", "10000000", "--json"),
    ),
    Benchmark(
        "store",
        "results written in batches into PostgreSQL beside the file",
        (Figure("results a second", "database_per_s", "file_per_s", "the SQLite file", "ratio"),),
        ("--results", "4000"),
        ("--results", "50000"),
        packages=("psycopg",),
        programs=("pg_ctl|/usr/lib/postgresql/*/bin/pg_ctl",),
        install='pip install "datakit[postgres]" and the programs of PostgreSQL (postgresql of the system)',
    ),
    Benchmark(
        "ray",
        "the same work on a Ray cluster of one node and on local workers",
        (
            Figure(
                "pictures, s",
                "pictures/ray_s",
                "pictures/local_s",
                "local worker processes",
                "pictures/ratio",
            ),
            Figure("calls, s", "calls/ray_s", "calls/local_s", "the local event loop", "calls/ratio"),
        ),
        ("--pictures", "40", "--calls", "100", "--workers", "1"),
        (),
        packages=("ray",),
        install='pip install "datakit[ray]"',
    ),
    Benchmark(
        "personal_data",
        "guard.personal_data on planted screens",
        (
            Figure(
                "CPU s for 100,000 records",
                "speed/cpu_s_per_100k",
                "speed/phonenumbers_cpu_s_per_100k",
                "phonenumbers, telephone numbers alone",
            ),
        ),
        ("--screens", "1000", "--seeds", "101", "--json"),
        ("--json",),
        install="pip install phonenumbers",
    ),
    Benchmark(
        "image_quality",
        "annotate.image_quality: planted faults of pictures",
        (Figure("CPU ms a picture", "cpu_ms_a_picture"),),
        ("--take", "6", "--json"),
        ("--json",),
    ),
    Benchmark(
        "suspects",
        "wrong labels found by several voices beside the proxy's ranking alone",
        (
            Figure(
                "recall with duplicates and descriptions, last kind of noise",
                "-3/recall",
                "-6/recall",
                "the proxy's ranking",
            ),
        ),
        ("--seeds", "1", "--records", "230", "--json"),
        ("--json",),
    ),
    Benchmark(
        "noise",
        "planted wrong labels that curate.label_noise finds, beside a plain proxy, texts alone at small size",
        (
            Figure("recall, mean of the four cases", "recall/ours", "recall/plain", "the plain proxy"),
            Figure("CPU s for 1,000 records", "cpu_s", goal=Goal("<=", 40, of="ours", full=True)),
        ),
        ("--seeds", "1", "--texts-alone", "--json"),
        ("--json",),
    ),
    Benchmark(
        "pseudo",
        "pseudo-labels on hard drawn screens beside one threshold, texts alone at small size",
        (
            Figure("precision", "ours/precision", "plain/precision", "one threshold"),
            Figure("coverage", "ours/coverage", "plain/coverage", "one threshold"),
        ),
        ("--seeds", "201", "--texts-alone", "--json"),
        ("--json",),
    ),
    Benchmark(
        "next",
        "labels that datakit next saves beside records drawn by chance",
        (Figure("labels over those of chance", "ratio", goal=None),),
        by_hand="has no small size and prints no JSON: python scripts/bench_next.py --seeds 9901-9910",
    ),
    Benchmark(
        "review",
        "frames of a review page in a browser",
        (Figure("ms", "median"),),
        by_hand="its figures are frame times of a browser window, which other work disturbs: "
        "python scripts/bench_review.py --records 100000",
    ),
    Benchmark(
        "train",
        "trainings on a GPU beside their forecast",
        (Figure("s a step", "step_s"),),
        by_hand="needs a GPU, a checked build and the trainer's environment: "
        "python scripts/bench_train.py --help",
    ),
)
