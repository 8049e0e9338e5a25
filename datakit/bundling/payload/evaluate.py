"""Scores predictions.jsonl: figures with 95% intervals, classes, and the pairs most often confused.

Runs with a Python of 3.10 or later that has numpy, jinja2, pydantic and pillow, as those of LLaMA-Factory and
vLLM do:

    python3 evaluate.py predictions.jsonl --out evaluation.json

The figures are those of `datakit evaluate`, by the same code, which lies beside it; so is evaluation.json. An
answer without a label (a `problem`) counts as wrong. Ends with 3 when records of the split have no answer.
"""

import json
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here))
sys.dont_write_bytecode = True  # one that a full disk cut off would keep every later call from starting

try:
    from datakit.bundling.stages import evaluate
except ModuleNotFoundError as error:
    inputs = "Python of 3.10 or later with numpy, jinja2, pydantic and pillow (in run.sh: PYTHON)"
    print(f"error: {sys.executable} has no {error.name}: take a {inputs}", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    name = json.loads((here / "bundle.json").read_text("utf-8"))["name"]
    sys.exit(evaluate(sys.argv[1:], __doc__, here / name))
