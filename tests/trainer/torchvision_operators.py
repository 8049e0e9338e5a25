"""Lets torchvision be imported where its compiled operators cannot be loaded (CPU torch, CUDA torchvision).

scripts/test_trainer.sh puts this file and a `.pth` that imports it into the environment of the trainer. Only
object detection calls the two operators; Qwen-VL's processors need torchvision's resizing alone.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


class _BeforeTorchvision(MetaPathFinder):
    """Declares the operators the moment torchvision is about to be imported."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname != "torchvision":
            return
        sys.meta_path.remove(self)
        import torch

        for operator in _OPERATORS:
            name, _, arguments = operator.partition("(")
            if not hasattr(torch.ops.torchvision, name):
                torch.library.define(f"torchvision::{name}", f"({arguments}")


sys.meta_path.insert(0, _BeforeTorchvision())
