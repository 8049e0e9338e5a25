"""The stages of a bundle that ask and score: `predict.py` and `evaluate.py` there only call them."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from datakit.artifacts.packed import PackedData
from datakit.core.disk_faults import disk_fault
from datakit.core.errors import DatakitError, Exit, UserError
from datakit.core.regular_files import read_regular
from datakit.core.replacing import check_replaceable
from datakit.evaluation.evaluation import Evaluation, Options, score
from datakit.evaluation.packed import PackedSource
from datakit.evaluation.summary import score_lines
from datakit.handoff.packed import asking_of, write_scores
from datakit.llm._plain_connection import PlainConnection
from datakit.run.progress import Progress
from datakit.serving.asker import Asker
from datakit.serving.endpoint import Endpoint
from datakit.serving.items import rendered_items
from datakit.serving.predict import predict as predict_items


def predict(words: Sequence[str], description: str) -> int:
    """Writes predictions.jsonl of a split; the exit code."""
    parser = _parser(description)
    parser.add_argument("data", type=Path, help="folder with the data set")
    parser.add_argument("--split", default="val")
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--model", help="name of the served model; the server's only one if not given")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=16, help="questions in flight")
    parser.add_argument("--max-tokens", type=int, help="of an answer; by the trained answers if not given")
    parser.add_argument("--timeout-s", type=_seconds, default=300.0)
    parser.add_argument("--closed", action="store_true", help="decode nothing but labels of the set")
    return _exit_code(partial(_predict, parser.parse_args(words)))


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError
    return number


def _predict(options: argparse.Namespace) -> int:
    data = PackedData(options.data)
    items = rendered_items(data, options.split, data.label_of, by_name=True)
    if not items:
        raise UserError(f"the split {options.split} has no records", remedy="Choose another with --split.")
    connect = partial(PlainConnection, threads=options.workers)
    with Asker(
        asking_of(data),
        Endpoint(options.url, timeout_s=options.timeout_s, connect=connect),
        model=options.model,
        closed=options.closed,
        max_answer_tokens=options.max_tokens,
        concurrency=options.workers,
    ) as asker:
        how = f"closed={options.closed} max_tokens={options.max_tokens}"
        account = predict_items(asker, items, options.out, options=how, progress=Progress())
    print(f"{account.text}\nWritten: {account.out}")
    if account.kept is not None:
        print(f"Kept: predictions with other answers, which stood there: {account.kept}")
    if account.retry:
        print("Run the same command again for those that had no answer.")
    return int(account.exit_code)


def evaluate(words: Sequence[str], description: str, data: Path) -> int:
    """Scores a file of answers to the data set in `data`; the exit code."""
    parser = _parser(description)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--out", type=Path, help="where the scores go as JSON")
    parser.add_argument("--data", type=Path, default=data, help="folder with the data set; the bundle's own")
    parser.add_argument("--split", default="val")
    parser.add_argument("--answered-only", action="store_true", help="leave out records without an answer")
    parser.add_argument("--tolerance", type=float, default=0.0, help="of numbers: near enough")
    return _exit_code(partial(_evaluate, parser.parse_args(words)))


def _evaluate(options: argparse.Namespace) -> int:
    how = Options(split=options.split, answered_only=options.answered_only, tolerance=options.tolerance)
    if options.out is not None:
        check_replaceable(options.out, "scores of answers", _is_evaluation)
    (scored,) = score(PackedSource(PackedData(options.data)), [options.predictions], how)
    print("\n".join(score_lines(scored.evaluation)))
    if options.out is not None:
        write_scores(scored.evaluation, options.out)
    return int(Exit.PARTIAL if scored.evaluation.is_partial else Exit.FINE)


def _is_evaluation(path: Path) -> bool:
    Evaluation.model_validate_json(read_regular(path))  # raises ValueError for anything else
    return True


def _parser(description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _exit_code(work: Callable[[], int]) -> int:
    try:
        return work()
    except DatakitError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    except OSError as error:
        given = [Path(word) for word in sys.argv[1:]]
        what, remedy = disk_fault(error, *(path for path in given if path.parent.is_dir()))
        print(f"error: {what}\n  {remedy}", file=sys.stderr)
        return int(Exit.USAGE)
    except KeyboardInterrupt:
        print("Stopped: the same command goes on.", file=sys.stderr)
        return int(Exit.INTERRUPTED)
