"""rapidocr with one thread: its models, settings and search for lines, with our own work around the models.

rapidocr's takes a fifth of the time: it looks settings up anew for every line, and normalizes in float64 what
models take as float32. Ours gives the same numbers, bit by bit.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from datakit.annotate._ocr_int8 import as_int8
from datakit.annotate._ocr_layout import Line, hull
from datakit.annotate._ocr_weights import WeightPair

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
_LINE_PX = 48
"""Height at which lines are read."""
_UPRIGHT_RATIO = 1.5
"""A strip taller than this times its width holds a line that runs down, and is turned."""
_EVERY_VALUE = np.arange(256, dtype=np.uint8)


class RapidEngine:
    """rapidocr on onnxruntime, with one thread."""

    def __init__(
        self, weights: WeightPair, gpu: bool, precision: str = "float32", min_width_px: int = 160
    ) -> None:
        import cv2

        cv2.setNumThreads(1)
        integers = _session(as_int8(weights.rec)) if precision == "int8" else None
        self._engine: Any = _rapidocr(weights, gpu)
        reading = self._engine.text_rec
        session = integers or reading.session.session
        self._search = _Search(self._engine.text_det)
        self._engine.text_det, self._engine.text_rec = self._search, _Reading(reading, session, min_width_px)
        self._engine.crop_text_regions = _strips

    def read(self, pixels: Pixels, long_side_px: int) -> list[Line]:
        self._search.long_side_px = long_side_px
        output = self._engine(pixels, use_det=True, use_cls=False, use_rec=True)
        if output.boxes is None or output.txts is None:
            return []
        return [
            Line(text, float(score), *hull(box))
            for box, text, score in zip(output.boxes, output.txts, output.scores, strict=True)
        ]


def _rapidocr(weights: WeightPair, gpu: bool) -> Any:
    from rapidocr import RapidOCR

    search, reading = weights.det.settings(), weights.rec.settings()
    operations = [op for op in search["PreProcess"]["transform_ops"] if isinstance(op, dict)]
    normal = next(op for op in operations if "NormalizeImage" in op)["NormalizeImage"]
    post = search["PostProcess"]
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys.txt"
        keys.write_bytes("\n".join(reading["PostProcess"]["character_dict"]).encode())
        engine: Any = RapidOCR(
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
            }
        )
        # Both models are loaded by their first use: here, where a bad file can still be named.
        blank = np.full((_LINE_PX, _LINE_PX, 3), 255, np.uint8)
        engine(blank, use_det=True, use_cls=False, use_rec=False)
        engine(blank, use_det=False, use_cls=False, use_rec=True)
    return engine


def _session(model: bytes) -> Any:
    """A model that computes with one thread, as rapidocr's do."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class _Search:
    """Stands in for rapidocr's TextDetector: the boxes of the lines on a picture."""

    def __init__(self, search: Any) -> None:
        from rapidocr.ch_ppocr_det.utils import TextDetOutput

        self._search, self._output = search, TextDetOutput
        # Plain lists are read a hundred times faster.
        search.mean, search.std = list(search.mean), list(search.std)
        every_value = np.repeat(_EVERY_VALUE.reshape(-1, 1, 1), 3, axis=2)
        table = search.get_preprocess().normalize(every_value).astype(np.float32)
        self._tables = [np.ascontiguousarray(table[:, 0, channel]) for channel in range(3)]
        self.long_side_px: int = search.limit_side_len

    def __call__(self, picture: Pixels) -> Any:
        self._search.limit_side_len = self.long_side_px
        resized = self._search.get_preprocess().resize(picture)
        if resized is None:
            return self._output()
        found = _run(self._search.session.session, _planes(resized, self._tables, resized.shape[1]))
        boxes, scores = self._search.postprocess_op(found, picture.shape[:2])
        if len(boxes) == 0:
            return self._output()
        return self._output(picture, self._search.sorted_boxes(boxes), scores)


class _Reading:
    """Stands in for rapidocr's TextRecognizer: the text of each strip.

    Strips are read one by one: none is padded to the width of the widest, and more at once are no faster.
    """

    def __init__(self, reading: Any, session: Any, min_width_px: int) -> None:
        from rapidocr.ch_ppocr_rec.typings import TextRecOutput

        self._output = TextRecOutput
        self._session, self._characters = session, reading.postprocess_op.character
        self._min_width_px = min_width_px
        table: Any = _EVERY_VALUE.astype(np.float32) / 255
        table -= 0.5
        table /= 0.5
        self._tables = [table] * 3

    def __call__(self, given: Any) -> Any:
        read = [self._read(strip) for strip in given.img]
        texts, scores = zip(*read, strict=True)
        words: Any = (None,) * len(read)  # places of words, which nobody asks for
        return self._output(given.img, texts, list(scores), words, elapse=0.0)

    def _read(self, strip: Pixels) -> tuple[str, float]:
        import cv2

        height, width = strip.shape[:2]
        ratio = width / height
        room = int(_LINE_PX * max(self._min_width_px / _LINE_PX, ratio))
        resized: Any = cv2.resize(strip, (min(math.ceil(_LINE_PX * ratio), room), _LINE_PX))
        (chances,) = _run(self._session, _planes(resized, self._tables, room))
        best = chances.argmax(axis=1)
        starts = best != 0  # 0 is the sign between characters
        starts[1:] &= best[1:] != best[:-1]
        steps = np.flatnonzero(starts)
        if len(steps) == 0:
            return "", 0.0
        chosen = best[steps]
        sure = [round(chance, 5) for chance in chances[steps, chosen].tolist()]
        return "".join([self._characters[at] for at in chosen.tolist()]), float(np.mean(sure).round(5))


def _run(session: Any, planes: Floats) -> Any:
    """What a model gives for one picture."""
    return session.run(None, {session.get_inputs()[0].name: planes})[0]


def _planes(picture: Pixels, tables: list[Floats], width: int) -> Floats:
    """The picture's three colours as planes of the numbers in the tables, filled up with 0 at the right."""
    import cv2

    planes = np.zeros((1, 3, picture.shape[0], width), np.float32)
    for channel, (plane, table) in enumerate(zip(cv2.split(picture), tables, strict=True)):
        planes[0, channel, :, : picture.shape[1]] = cv2.LUT(plane, table)
    return planes


def _strips(picture: Pixels, boxes: Any) -> list[Pixels]:
    return [_strip(picture, box) for box in boxes]


def _strip(picture: Pixels, box: Any) -> Pixels:
    """The part of the picture in a box; what lies in an upright box is there already and is not resampled."""
    from rapidocr.utils.process_img import get_rotate_crop_image

    (left, top), (right, _), _, (_, bottom) = box.astype(int).tolist()
    if box.tolist() != [[left, top], [right, top], [right, bottom], [left, bottom]]:
        turned: Pixels = get_rotate_crop_image(picture, box.copy())
        return turned
    strip = picture[top:bottom, left:right]
    return np.rot90(strip) if bottom - top >= _UPRIGHT_RATIO * (right - left) else strip
