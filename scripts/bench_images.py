"""Measures the one pass over a picture: JPEG files a second and core, beside floors in the same run.

    python scripts/bench_images.py
    python scripts/bench_images.py --take 100 --rounds 5 --json

The pictures are those of scripts/ocr_baseline, saved again at quality 85 as 720 x 1560 and as 1080 x 2400.
Floors are Pillow's whole decode and, where simplejpeg is installed (it is no part of datakit), its grey
decode at 1/8. All read the same files in turns, so that a busy machine slows them alike; the best round
counts. `apart` is how guard.image and annotate.image_facts of datakit 0.1 did it: a whole decode, a header,
a digest, and a decode for the hash. `resized` is a picture as the emitters write it with `images: resize` and
602,112 pixels; beside it Pillow alone does the same without datakit's looks at the file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from datakit.core.image import load_rgb, read_header, save_upright
from datakit.core.image_pass import image_facts

IMAGES = Path(__file__).resolve().parent / "ocr_baseline" / "images"
PEER_WORK = Path(__file__).resolve().parent / "benchmarks" / "peer_work.py"
SIZES = {"720x1560": (720, 1560), "1080x2400": (1080, 2400)}
WANTED = {"720x1560": 400, "1080x2400": 250}
"""Pictures a second and core that the pass must reach."""
RESIZED_PX, RESIZED_WANTED = 602_112, 60
"""Pixels of an emitted picture, and how many of them a second and core are wanted."""

Look = Callable[[str], object]


def whole(path: str) -> object:
    """Pillow's decode of every pixel, and nothing else."""
    with Image.open(path) as image:
        return image.load()


def apart(path: str) -> object:
    """All facts of datakit 0.1, file by file and decode by decode."""
    load_rgb(path)
    read_header(path)
    hashlib.sha256(Path(path).read_bytes()).hexdigest()
    picture = load_rgb(path, max_side_px=2048).convert("L")
    return picture.resize((64, 64), Image.Resampling.LANCZOS)


def resized(path: str) -> object:
    """The picture as it is emitted, smaller."""
    return save_upright(path, f"{path}.resized", max_pixels=RESIZED_PX)


def pillow_resized(path: str) -> object:
    """The same by Pillow alone, at the same size and quality."""
    with Image.open(path) as image:
        scale = (RESIZED_PX / (image.width * image.height)) ** 0.5
        size = int(image.width * scale), int(image.height * scale)
        image.draft("RGB", size)
        small = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return small.save(f"{path}.pillow.jpg", quality=92, subsampling=0)


def looks() -> dict[str, Look]:
    """What is measured, by name."""
    found: dict[str, Look] = {"pass": image_facts, "pillow whole": whole, "apart": apart}
    found |= {"resized": resized, "pillow resized": pillow_resized}
    try:
        import simplejpeg
    except ImportError:
        return found

    def eighth(path: str) -> object:
        data = Path(path).read_bytes()
        return simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=8)

    return {**found, "simplejpeg grey 1/8": eighth}


def measure(paths: list[str], rounds: int) -> dict[str, float]:
    """Name -> pictures a CPU second, of the best round."""
    best = dict.fromkeys(looks(), 0.0)
    for _ in range(rounds):
        for name, look in looks().items():
            began = time.process_time()
            for path in paths:
                look(path)
            best[name] = max(best[name], len(paths) / (time.process_time() - began))
    return best


def imagehash(python: str, paths: list[str], rounds: int) -> float:
    """Pictures a CPU second that imagehash opens and hashes in its own environment, of the best round."""
    listed = Path(paths[0]).with_name("paths.txt")
    listed.write_text("\n".join(paths), "utf-8")
    command = [python, str(PEER_WORK), "imagehash", str(listed)]
    runs = [subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout for _ in range(rounds)]
    return len(paths) / min(json.loads(run)["cpu_s"] for run in runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--take", type=int, default=60, help="pictures of each size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peer-python", help="an interpreter that has imagehash")
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES.items():
            paths = []
            for source in sorted(IMAGES.glob("*.jpg"))[: given.take]:
                paths.append(f"{folder}/{name}-{source.name}")
                load_rgb(source).resize(size, Image.Resampling.LANCZOS).save(paths[-1], quality=85)
            rates = measure(paths, given.rounds)
            if given.peer_python:
                rates["imagehash"] = imagehash(given.peer_python, paths, given.rounds)
            found[name] = {way: round(rate, 1) for way, rate in rates.items()}
    if given.json:
        print(json.dumps(found))
    else:
        for name, rates in found.items():
            print(name, " ".join(f"| {way} {rate}/s" for way, rate in rates.items()))
    slow = [name for name, rates in found.items() if rates["pass"] < WANTED[name]]
    for name in slow:
        print(f"{name}: the pass is below {WANTED[name]} pictures a second and core", file=sys.stderr)
    late = [name for name, rates in found.items() if rates["resized"] < RESIZED_WANTED]
    for name in late:
        print(f"{name}: resized pictures are below {RESIZED_WANTED} a second and core", file=sys.stderr)
    return 1 if slow or late else 0


if __name__ == "__main__":
    sys.exit(main())
