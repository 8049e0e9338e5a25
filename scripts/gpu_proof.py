"""Proof on a GPU of what helped and by how much: a small Qwen2.5-VL learns drawn screens, recipe by recipe.

    python scripts/gpu_proof.py prepare proof --trainer-python /envs/trainer/bin/python
    tar xzf proof.tar.gz && python proof/gpu_proof.py run --results results
    python scripts/gpu_proof.py join scripts/proof/results.json results/results.json
    python scripts/gpu_proof.py report scripts/proof/results.json

`prepare` runs here, with datakit, Chromium and RapidOCR: it draws the screens, builds a recipe for each
variant of proof/variants.py, packs their bundles as one archive, and takes up what an earlier call made.
`run` goes on the machine with the GPU, which needs no network and no datakit: `python3` with torch,
transformers, Pillow, numpy, jinja2 and pydantic, and `llamafactory-cli` and `vllm` on the PATH. It trains
each bundle from nothing, asks it about the held-out screens, and after each variant writes what there is to
results.json; the same call goes on after any interruption. `join` puts a later run's variants beside those
that are kept, where both asked about the same screens. `report` writes docs/explanation/proof.md of a
results file, which is kept as scripts/proof/results.json.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "explanation" / "proof.md"


def main() -> int:
    options = arguments()
    if options.command == "prepare":
        sys.path.insert(0, str(HERE.parent))
        from proof.prepare import Amounts, prepare
        from proof.variants import VARIANTS

        names = options.only or [one.name for one in VARIANTS]
        given = vars(options)
        amounts = Amounts(**{part.name: given[part.name] for part in fields(Amounts)})
        archive = prepare(options.out.absolute(), options.trainer_python, amounts, names, options.workers)
        print(f"{archive}: {archive.stat().st_size / 1e6:.0f} MB")
        return 0
    if options.command == "run":
        from proof.run import Limits, run

        limits = Limits(options.budget_s, options.at_once, options.steps, options.cpu)
        return run(HERE, options.results.absolute(), limits, options.only)
    if options.command == "answer":
        from proof.answer import answer

        answer(options.bundle, options.model, options.out, options.batch)
        return 0
    if options.command == "join":
        from proof.join import join

        join(options.kept, options.later)
        return 0
    sys.path.insert(0, str(HERE.parent))
    from proof.report import page

    PAGE.write_text(page(options.results), "utf-8")
    print(PAGE)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("prepare", help="draw, build and pack, here")
    first.add_argument("out", type=Path)
    first.add_argument("--trainer-python", default=sys.executable, help="one with torch, transformers")
    first.add_argument("--train", type=int, default=10_000, help="training screens (10000)")
    first.add_argument("--twice", type=int, default=20_000, help="of the recipe with the most (20000)")
    first.add_argument("--quarter", type=int, default=2500, help="of them, for all recipes but those two")
    first.add_argument("--held-out", type=int, default=400)
    first.add_argument("--few", type=int, default=300, help="screens of the small training set")
    first.add_argument("--pool", type=int, default=1200, help="screens beside it whose labels are not read")
    first.add_argument("--only", action="append", metavar="VARIANT")
    first.add_argument("--workers", type=int, default=2, help="processes that draw")
    second = commands.add_parser("run", help="train and ask, on the GPU machine")
    second.add_argument("--results", type=Path, required=True)
    second.add_argument("--only", action="append", metavar="VARIANT")
    second.add_argument("--budget-s", type=float, default=1500.0, help="no variant begins that would not fit")
    second.add_argument("--at-once", type=int, default=2, help="variants side by side on each GPU")
    second.add_argument("--steps", type=int, help="of each training, for a trial")
    second.add_argument("--cpu", action="store_true", help="without a GPU, for a trial")
    third = commands.add_parser("answer", help="what `run` calls to ask a model through transformers")
    third.add_argument("bundle", type=Path)
    third.add_argument("model", type=Path)
    third.add_argument("out", type=Path)
    third.add_argument("--batch", type=int, default=100)
    fourth = commands.add_parser("join", help="put a later run's variants beside those of a results file")
    fourth.add_argument("kept", type=Path)
    fourth.add_argument("later", type=Path)
    fifth = commands.add_parser("report", help="write the page of a results file")
    fifth.add_argument("results", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
