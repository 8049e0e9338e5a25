"""A peer's work on the lines of a file, with its CPU seconds as JSON. Runs in the peer's own environment.

PYTHON scripts/benchmarks/peer_work.py imagehash PATHS      a path of a picture in each line
PYTHON scripts/benchmarks/peer_work.py datasketch TEXTS     a text as JSON in each line
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def imagehash(lines: list[str]) -> dict[str, float]:
    """Opens each picture and takes its perceptual hash: one decode and one hash, as is usual with it."""
    import imagehash as package
    from PIL import Image

    began = time.process_time()
    for line in lines:
        with Image.open(line) as image:
            package.phash(image)
    return {"cpu_s": time.process_time() - began}


def datasketch(lines: list[str], bound: float) -> dict[str, object]:
    """Pairs that MinHash of 128 permutations over 3-grams calls near, the usual way with it."""
    from datasketch import MinHash, MinHashLSH

    texts = [json.loads(line) for line in lines]
    began = time.process_time()
    index = MinHashLSH(threshold=bound, num_perm=128)
    grams = [[text[at : at + 3].encode() for at in range(len(text) - 2)] for text in texts]
    pairs = []
    for row, sketch in enumerate(MinHash.generator(grams, num_perm=128)):
        pairs += [(int(other), row) for other in index.query(sketch)]
        index.insert(str(row), sketch)
    return {"cpu_s": time.process_time() - began, "pairs": pairs}


def main() -> None:
    """Prints the costs, and what the peer found where that is told."""
    name, path = sys.argv[1:3]
    lines = Path(path).read_text("utf-8").splitlines()
    print(json.dumps(imagehash(lines) if name == "imagehash" else datasketch(lines, float(sys.argv[3]))))


if __name__ == "__main__":
    main()
