"""Compares annotate.ocr with rapidocr as it comes: CPU seconds per picture and characters right.

    python scripts/bench_ocr.py
    python scripts/bench_ocr.py --take 50 --json

`datakit` is the step without parameters, `int8` with `precision: int8, min_width_px: 48`. All read the same
pictures of scripts/ocr_baseline in one run, in turns, so that a busy machine slows all alike. The ratio says
how many times less CPU `datakit` needs. Measures are explained in scripts/ocr_score.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
from ocr_score import TRUTH, Read, Score, datakit_reader, load_truth

from datakit.annotate.ocr import Ocr
from datakit.core.errors import DatakitError
from datakit.core.image import load_rgb


def rapidocr_reader() -> Read:
    """Reads with rapidocr's own weights and settings."""
    from rapidocr import RapidOCR

    from datakit.annotate._ocr_layout import Line

    engine: Any = RapidOCR(params={"Global.log_level": "error"})

    def read(path: str) -> list[Line]:
        result = engine(np.ascontiguousarray(np.asarray(load_rgb(path))[:, :, ::-1]))
        if result.boxes is None:
            return []
        return [
            Line(text, score, *box.min(0).tolist(), *box.max(0).tolist())
            for box, text, score in zip(result.boxes, result.txts, result.scores, strict=True)
        ]

    return read


def compare(take: int) -> dict[str, dict[str, float]]:
    """The measures of all, by name."""
    truth = load_truth(TRUTH, take)
    readers = {
        "datakit": datakit_reader(Ocr()),
        "int8": datakit_reader(Ocr(precision="int8", min_width_px=48)),
        "rapidocr": rapidocr_reader(),
    }
    scores = {name: Score() for name in readers}
    for read in readers.values():
        read(truth[0][0])  # loads what is loaded late
    for path, lines in truth:
        for name, read in readers.items():
            start = time.process_time()
            read_lines = read(path)
            scores[name].add(lines, read_lines, time.process_time() - start)
    return {name: score.table() for name, score in scores.items()}


def main() -> None:
    """Prints the columns and the ratio, or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--take", type=int, default=20, help="number of pictures, spread over the 200")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    results = compare(options.take)
    ratio = results["rapidocr"]["cpu_s"] / results["datakit"]["cpu_s"]
    if options.json:
        print(json.dumps({**results, "cpu_ratio": round(ratio, 2)}))
        return
    print("".join([f"{'':<14}", *(f"{name:>10}" for name in results)]))
    for measure in results["datakit"]:
        print("".join([f"{measure:<14}", *(f"{table[measure]:>10,}" for table in results.values())]))
    print(f"rapidocr's own defaults take {ratio:.1f} times the CPU.")


if __name__ == "__main__":
    try:
        main()
    except DatakitError as error:
        sys.exit(str(error))
