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

from datakit.annotate._ocr_layout import TILE_RATIO, Line, merged, tiles
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


def make_engine(name: EngineName, weights: WeightPair | str, gpu: bool) -> Engine:
    """A loaded engine; `weights` is a model's name when PaddleOCR is to fetch them. Raises UserError."""
    engine_version(name)
    if gpu:
        _check_gpu()
    try:
        if name == "paddleocr":
            return PaddleEngine(weights, gpu)
        assert isinstance(weights, WeightPair)
        return RapidEngine(weights, gpu)
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
    pixels = np.ascontiguousarray(np.asarray(image)[:, :, ::-1])
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


class RapidEngine:
    """rapidocr on onnxruntime, with one thread."""

    def __init__(self, weights: WeightPair, gpu: bool) -> None:
        import cv2
        from rapidocr import RapidOCR

        cv2.setNumThreads(1)
        search, reading = weights.det.settings(), weights.rec.settings()
        normal = next(op for op in _operations(search) if "NormalizeImage" in op)["NormalizeImage"]
        post = search["PostProcess"]
        with tempfile.TemporaryDirectory() as folder:
            keys = Path(folder) / "keys.txt"
            keys.write_bytes("\n".join(reading["PostProcess"]["character_dict"]).encode())
            self._engine: Any = RapidOCR(
                params={
                    "Global.use_cls": False,  # screens stand upright; the classifier costs a tenth
                    "Global.text_score": 0.0,  # the floor is applied later, so that it can change for free
                    "Global.max_side_len": 1_000_000,  # its own shrinking would blur what is read
                    "Global.log_level": "critical",
                    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                    "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
                    "EngineConfig.onnxruntime.use_cuda": gpu,
                    "Det.model_path": str(weights.det.onnx),
                    "Det.limit_type": "max",
                    "Det.mean": normal["mean"],
                    "Det.std": normal["std"],
                    "Det.thresh": post["thresh"],
                    "Det.box_thresh": post["box_thresh"],
                    "Det.unclip_ratio": post["unclip_ratio"],
                    "Rec.model_path": str(weights.rec.onnx),
                    "Rec.rec_keys_path": str(keys),
                    # Lines one by one: none is padded to the width of the widest.
                    "Rec.rec_batch_num": 1,
                    "Rec.rec_img_shape": [3, 48, 160],
                }
            )
            blank = np.full((48, 160, 3), 255, np.uint8)
            # Both models are loaded by their first use: here, where a bad file can still be named.
            self._engine(blank, use_det=True, use_cls=False, use_rec=False)
            self._engine(blank, use_det=False, use_cls=False, use_rec=True)

    def read(self, pixels: Pixels, long_side_px: int) -> list[Line]:
        search = self._engine.text_det
        if search.limit_side_len != long_side_px:  # read first, so that a renamed setting cannot go unnoticed
            search.limit_side_len = long_side_px
        output = self._engine(pixels, use_det=True, use_cls=False, use_rec=True)
        if output.boxes is None or output.txts is None:
            return []
        return [
            Line(text, float(score), *_hull(box))
            for box, text, score in zip(output.boxes, output.txts, output.scores, strict=True)
        ]


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
            Line(text, float(score), *_hull(box))
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


def _operations(settings: dict[str, Any]) -> list[dict[str, Any]]:
    return [op for op in settings["PreProcess"]["transform_ops"] if isinstance(op, dict)]


def _hull(box: Any) -> tuple[float, float, float, float]:
    """The upright rectangle around four corners."""
    corners = np.asarray(box, dtype=np.float64).reshape(-1, 2)
    (x0, y0), (x1, y1) = corners.min(0).tolist(), corners.max(0).tolist()
    return x0, y0, x1, y1


def _check_gpu() -> None:
    """Raises UserError when onnxruntime would quietly run on the CPU."""
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise UserError(
            "annotate.ocr has gpu: true, but the installed onnxruntime cannot use a GPU",
            remedy="Replace it: pip uninstall onnxruntime && pip install onnxruntime-gpu",
        )
