"""OCR engines behind one face: a decoded picture in, lines of text with boxes out."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image

from datakit.annotate._ocr_layout import TILE_RATIO, Line, hull, merged, tiles
from datakit.annotate._ocr_weights import WeightPair, Weights
from datakit.core.errors import UserError, missing_extra

EngineName = Literal["rapidocr", "paddleocr"]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
_WIDEST_FACTOR = 4
"""A very wide picture is searched at up to this many times the usual long side."""


class Engine(Protocol):
    """Reads one piece of a picture."""

    def read(self, pixels: Pixels, long_side_px: int) -> list[Line]:
        """Every line found in a (height, width, 3) BGR array, with its box in pixels of that array."""
        ...


def extra_of(name: EngineName) -> str:
    """The extra of datakit that brings the engine."""
    return "ocr" if name == "rapidocr" else name


def engine_version(name: EngineName) -> str:
    """The installed version. Raises UserError when the package is missing."""
    extra = extra_of(name)
    try:
        installed = version(name)
    except PackageNotFoundError:
        raise missing_extra(name, extra, f"annotate.ocr with engine: {name}") from None
    if importlib.util.find_spec("onnxruntime") is None:
        raise missing_extra("onnxruntime", extra, f"annotate.ocr with engine: {name}")
    return installed


def make_engine(
    name: EngineName,
    weights: WeightPair | str,
    gpu: bool,
    precision: str = "float32",
    min_width_px: int = 160,
) -> Engine:
    """A loaded engine; `weights` is a model's name when PaddleOCR is to fetch them. Raises UserError."""
    engine_version(name)
    if gpu:
        _check_gpu()
    try:
        if name == "paddleocr":
            return PaddleEngine(weights, gpu)
        assert isinstance(weights, WeightPair)
        from datakit.annotate._ocr_rapid import RapidEngine  # imports rapidocr, which is an extra

        return RapidEngine(weights, gpu, precision, min_width_px)
    except UserError:
        raise
    except Exception as error:  # engines raise anything for bad weights; the user sees it in these words
        where = weights if isinstance(weights, str) else f"{weights.det.folder} and {weights.rec.folder}"
        first_line = (str(error) or type(error).__name__).strip().splitlines()[-1]
        raise UserError(
            f"{name} cannot load the weights {where}: {first_line}",
            remedy="Check det_folder and rec_folder, or leave both out to use the weights that come along.",
        ) from error


def read_picture(engine: Engine, image: Image.Image, long_side_px: int) -> list[Line]:
    """Every line on a picture, in no particular order; tall pictures are read in overlapping tiles."""
    import cv2

    pixels: Any = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR)
    height, width = pixels.shape[:2]
    limit = _search_side(width, height, long_side_px)
    pieces = tiles(width, height, long_side_px)
    if len(pieces) == 1:
        return engine.read(pixels, limit)
    read = [(tile, engine.read(pixels[tile.top : tile.bottom], limit)) for tile in pieces]
    return merged(read, height)


def _search_side(width: int, height: int, long_side_px: int) -> int:
    """Long side at which lines are searched: more for wide pictures, which would shrink to a thread."""
    if width <= TILE_RATIO * height:
        return long_side_px
    return min(round(long_side_px * width / (TILE_RATIO * height)), _WIDEST_FACTOR * long_side_px)


class PaddleEngine:
    """PaddleOCR on onnxruntime, without paddlepaddle and, for weights on disk, without a network."""

    def __init__(self, weights: WeightPair | str, gpu: bool) -> None:
        os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")  # read at the import
        import cv2
        from paddleocr import PaddleOCR

        cv2.setNumThreads(1)
        self._folder = tempfile.TemporaryDirectory()
        models = _paddle_models(weights, Path(self._folder.name))
        self._engine: Any = PaddleOCR(
            **models,
            engine="onnxruntime",
            engine_config={"intra_op_num_threads": 1},
            device="gpu" if gpu else "cpu",
            text_recognition_batch_size=1,
            text_det_limit_type="max",
            text_rec_score_thresh=0.0,
            use_doc_orientation_classify=False,
            use_doc_unwarping=False,
            use_textline_orientation=False,
        )

    def read(self, pixels: Pixels, long_side_px: int) -> list[Line]:
        (page,) = self._engine.predict(np.ascontiguousarray(pixels), text_det_limit_side_len=long_side_px)
        return [
            Line(text, float(score), *hull(box))
            for box, text, score in zip(page["rec_polys"], page["rec_texts"], page["rec_scores"], strict=True)
            if text.strip()
        ]


def _paddle_models(weights: WeightPair | str, folder: Path) -> dict[str, str]:
    """PaddleOCR's parameters for the weights: names, and folders in which files have the names it expects."""
    if isinstance(weights, str):
        names = (f"{weights}_det", f"{weights}_rec")
        return {"text_detection_model_name": names[0], "text_recognition_model_name": names[1]}
    options = {}
    roles: dict[str, Weights] = {"text_detection": weights.det, "text_recognition": weights.rec}
    for role, model in roles.items():
        place = folder / role
        place.mkdir()
        (place / "inference.onnx").symlink_to(model.onnx.resolve())
        (place / "inference.yml").symlink_to(model.config.resolve())
        options[f"{role}_model_name"] = model.settings()["Global"]["model_name"]
        options[f"{role}_model_dir"] = str(place)
    return options


def _check_gpu() -> None:
    """Raises UserError when onnxruntime would quietly run on the CPU."""
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise UserError(
            "annotate.ocr has gpu: true, but the installed onnxruntime cannot use a GPU",
            remedy="Replace it: pip uninstall onnxruntime && pip install onnxruntime-gpu",
        )
