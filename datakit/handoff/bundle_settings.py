"""What run.sh of a bundle was told: by its options, else the environment, else the bundle itself.

Reads with the standard library alone, so that the doctor of a bundle works with any Python of 3.10 or later.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datakit.artifacts import names
from datakit.artifacts.needs import Needs
from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular
from datakit.handoff.train_flags import flag_faults

ABOUT = "bundle.json"
PORT = 8000
_LAST_PORT = 65_535
_QUOTED_OR_JSON = re.compile(r"""('[^']*'|"(?:\\.|[^"\\])*")|((?<!\S)[\[{]\S*)""")
_AGAIN = "Unpack the bundle again: files of it are missing or changed."
OPTIONS = {
    "model": ("MODEL", "folder or name of the base model, in place of the one in train.yaml"),
    "trainer": ("TRAINER", "the command llamafactory-cli, or the Python beside it"),
    "vllm": ("VLLM", "the command vllm"),
    "gpus": ("GPUS", "GPUs of this node"),
    "nodes": ("NNODES", "nodes that train together; the same command runs on each of them"),
    "node-rank": ("NODE_RANK", "number of this node, from 0 on; those after 0 only check and train"),
    "master": ("MASTER_ADDR", "address of node 0"),
    "master-port": ("MASTER_PORT", "port on node 0 at which the nodes meet; 29500 if not given"),
    "port": ("PORT", "port of the server on this machine"),
    "train-flags": ("TRAIN_FLAGS", 'further settings of the training, such as "num_train_epochs=1"'),
    "serve-flags": ("SERVE_FLAGS", "further flags of vllm serve; a value with spaces stands in quotes"),
    "max-answer-tokens": ("MAX_ANSWER_TOKENS", "most tokens of an answer; as trained if not given"),
    "split": ("SPLIT", "what is asked: val (if not given) or train"),
    "base-url": ("BASE_URL", "a server that runs elsewhere, such as http://host:8000/v1; none is started"),
    "wait": ("SERVE_WAIT_S", "seconds that a start of the server may take; 1200 if not given"),
}
"""Option -> the environment variable of the same meaning, and what they say."""
_KEYS = frozenset({"--api-key", "--hf-token"})
"""Flags of the server with a secret, which would be written down."""
_OFF = frozenset({"", "0", "no", "false", "off"})


@dataclass(frozen=True)
class BundleSettings:
    """The settings of one call of run.sh."""

    folder: Path
    """The unpacked bundle."""
    name: str
    """Of the build, and of the folder with its data."""
    run: Path
    """Folder of the training run."""
    needs: Needs
    model: str = ""
    """The base model: an absolute folder, or a name at a hub."""
    model_given: bool = False
    """Whether it stands in the place of the one in train.yaml."""
    trainer: str = ""
    """"" where nothing was said."""
    vllm: str = "vllm"
    gpus: int = 1
    nodes: int = 1
    rank: int = 0
    master: str = ""
    master_port: int | None = None
    port: int = PORT
    train_flags: tuple[str, ...] = ()
    serve_flags: tuple[str, ...] = ()
    max_answer_tokens: int | None = None
    split: str = "val"
    base_url: str = ""
    wait_s: int = 1200
    cpu: bool = False

    @classmethod
    def of(cls, folder: Path, options: Mapping[str, str], environment: Mapping[str, str]) -> BundleSettings:
        """The settings for the bundle in `folder`. Raises one UserError that tells every wrong setting."""
        name = _document(folder / ABOUT).get("name")
        if not isinstance(name, str) or not (folder / name).is_dir():
            raise UserError(f"{folder / ABOUT} names no data set here", remedy=_AGAIN)
        packed = _document(folder / name / names.PACKED)
        needs = Needs.of(packed.get("needs"))
        given = {
            option: options.get(option) or environment.get(variable, "")
            for option, (variable, _) in OPTIONS.items()
        }

        faults: list[UserError] = []

        def number(option: str, least: int, plain: int, most: int = 1_000_000) -> int:
            try:
                return _number(_named(option), given[option], range(least, most + 1), plain)
            except UserError as error:
                faults.append(error)
                return plain

        def words(option: str) -> tuple[str, ...]:
            try:
                return _words(_named(option), given[option])
            except UserError as error:
                faults.append(error)
                return ()

        train_flags = words("train-flags")
        faults += flag_faults(_named("train-flags"), train_flags)
        serve_flags = words("serve-flags")
        if any(word.partition("=")[0].replace("_", "-") in _KEYS for word in serve_flags):
            message = (
                f"{_named('serve-flags')} has a key, which would stand in logs and in the list of processes"
            )
            faults.append(UserError(message, remedy="Set VLLM_API_KEY instead: server and stages read it."))
        model = given["model"]
        if model and Path(model).expanduser().is_dir():
            model = os.path.abspath(Path(model).expanduser())
        settings = cls(
            folder=folder,
            name=name,
            run=_run(folder / name, packed),
            needs=needs,
            model=model or needs.base,
            model_given=bool(model),
            trainer=given["trainer"],
            vllm=given["vllm"] or "vllm",
            gpus=number("gpus", 1, needs.gpus),
            nodes=number("nodes", 1, needs.nodes),
            rank=number("node-rank", 0, 0),
            master=given["master"],
            master_port=number("master-port", 1, 0, _LAST_PORT) or None,
            port=number("port", 1, _port(packed), _LAST_PORT),
            train_flags=train_flags,
            serve_flags=serve_flags,
            max_answer_tokens=number("max-answer-tokens", 1, 0) or None,
            split=given["split"] or "val",
            base_url=given["base-url"],
            wait_s=number("wait", 1, 1200),
            cpu=_is_on(options.get("cpu", "")) or _is_on(environment.get("CPU", "")),
        )
        if faults:
            raise _together(faults)
        return settings

    @property
    def data(self) -> Path:
        return self.folder / self.name

    @property
    def served(self) -> Path:
        return self.run / "served"


def _run(data: Path, packed: dict[str, Any]) -> Path:
    """The folder that the trainer's output goes into."""
    training = packed.get("training")
    if not isinstance(training, dict) or "output_dir" not in training:
        raise UserError(
            f"{data / names.PACKED} does not say how to train",
            remedy="Pack the build anew, with a recipe that has a `train:` section: datakit bundle",
        )
    return Path(os.path.normpath(data / str(training["output_dir"]))).parent


def _port(packed: dict[str, Any]) -> int:
    serving = packed.get("serving")
    port = serving.get("port") if isinstance(serving, dict) else None
    return port if isinstance(port, int) else PORT


def _named(option: str) -> str:
    return f"--{option} or {OPTIONS[option][0]}"


def _is_on(text: str) -> bool:
    """Whether a switch is on: "", 0, no, false and off, in any case, are off; anything else is on."""
    return text.strip().lower() not in _OFF


def _words(what: str, text: str) -> tuple[str, ...]:
    """The words of a text, split as a shell does: a value with spaces stands in quotes.

    JSON without spaces keeps its quotes, as in earlier bundles: `{"image":3}`.
    """
    try:
        return tuple(shlex.split(_QUOTED_OR_JSON.sub(lambda match: match[1] or shlex.quote(match[2]), text)))
    except ValueError as error:
        remedy = "Close the quote; a quote that is meant itself has a backslash before it."
        if "escape" in str(error):
            remedy = "Remove the backslash at its end."
        raise UserError(f"{what} is {text!r}: {str(error).lower()}", remedy=remedy) from None


def _together(faults: list[UserError]) -> UserError:
    """One error that tells all of them, each with its remedy."""
    first, *others = faults
    more = "".join(f"\n{other}" for other in others)
    return UserError(first.message, remedy=f"{first.remedy}{more}")


def _number(what: str, text: str, allowed: range, plain: int) -> int:
    if not text:
        return plain
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) not in allowed:
        remedy = f"Give a whole number from {allowed.start:,} to {allowed.stop - 1:,}."
        raise UserError(f"{what} is {text!r}", remedy=remedy)
    return int(text)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_regular(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}", remedy=_AGAIN) from None
    if not isinstance(document, dict):
        raise UserError(f"{path} is no document of a bundle", remedy=_AGAIN)
    return document
