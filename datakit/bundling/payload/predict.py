"""Asks a served model about the pictures of a split and writes predictions.jsonl, one line an answer.

Runs with a Python of 3.10 or later that has numpy, jinja2, pydantic and pillow, as those of LLaMA-Factory and
vLLM do, against any OpenAI-compatible server; VLLM_API_KEY is the key of one that wants it:

    python3 predict.py DATA --split val --url http://127.0.0.1:8000/v1 --out predictions.jsonl

What it asks and how it reads answers is datakit's own code, which lies beside it: a line is as `datakit
predict` writes it, and `datakit evaluate` reads it. A run that was ended goes on where it was. Pictures go at
the size of the training. Ends with 3 when some records got no answer, with 5 when no server answers.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True  # one that a full disk cut off would keep every later call from starting

try:
    from datakit.bundling.stages import predict
except ModuleNotFoundError as error:
    inputs = "Python of 3.10 or later with numpy, jinja2, pydantic and pillow (in run.sh: PYTHON)"
    print(f"error: {sys.executable} has no {error.name}: take a {inputs}", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(predict(sys.argv[1:], __doc__))
