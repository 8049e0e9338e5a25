"""What LLaMA-Factory's own converter, template and processor do with a row, beside what the check says of it.

The trainer's code runs unchanged; only what it makes of a picture is remembered between two looks at it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datakit.checking.record import RecordCheck
from datakit.core.tokens import encoding

Convert = Callable[[dict[str, Any]], dict[str, Any]]
PAD, MASKED = 151_655, -100


@dataclass(frozen=True)
class Fate:
    """What becomes of a record."""

    verdict: str
    ids: int = 0
    labels: int = 0
    pads: int = 0
    answer_bytes: int = -1
    """Of the one answer of a short dialogue that is cut: what is left of it."""


class Trainer:
    """LLaMA-Factory's converter, template and processor for one model."""

    def __init__(self, model: Path, template: str, media: Path, work: Path) -> None:
        from llamafactory.data.processor import SupervisedDatasetProcessor
        from llamafactory.data.template import get_template_and_fix_tokenizer
        from llamafactory.hparams import get_train_args
        from llamafactory.model import load_tokenizer

        keys = {
            "model_name_or_path": str(model),
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "lora",
            "dataset": "set",
            "dataset_dir": str(media),
            "media_dir": str(media),
            "template": template,
            "output_dir": str(work / "out"),
            "report_to": "none",
        }
        model_args, self.data, *_ = get_train_args(keys)
        parts = load_tokenizer(model_args)
        self.template = get_template_and_fix_tokenizer(parts["tokenizer"], self.data)
        self.model_processor = parts["processor"]
        self.processor = SupervisedDatasetProcessor(template=self.template, data_args=self.data, **parts)
        self._remember_pixels()

    def _remember_pixels(self) -> None:
        import torch

        plugin = self.template.mm_plugin
        inner = type(plugin)._get_mm_inputs
        known: dict[tuple[Any, ...], Any] = {}

        def grid(image: Any, processor: Any) -> Any:
            key = (image, processor.image_max_pixels, processor.image_min_pixels)
            if key not in known:
                known[key] = inner(plugin, [image], [], [], processor)["image_grid_thw"]
            return known[key]

        def remembered(images: list[Any], videos: Any, audios: Any, processor: Any) -> Any:
            if videos or audios:
                return inner(plugin, images, videos, audios, processor)
            grids = [grid(image, processor) for image in images]
            return {"image_grid_thw": torch.cat(grids)} if grids else {}

        plugin._get_mm_inputs = remembered

    def configure(self, settings: dict[str, Any]) -> None:
        """Sets what a configuration would."""
        self.data.cutoff_len = settings["cutoff_len"]
        self.data.mask_history = settings.get("mask_history", False)
        self.data.train_on_prompt = settings.get("train_on_prompt", False)
        self.template.enable_thinking = settings.get("enable_thinking", True)
        self.model_processor.image_max_pixels = settings.get("image_max_pixels", 768 * 768)
        self.model_processor.image_min_pixels = settings.get("image_min_pixels", 32 * 32)

    def converter(self, entry: dict[str, Any]) -> Convert:
        """What turns rows of a data set with this entry of dataset_info.json into dialogues."""
        from llamafactory.data.converter import get_dataset_converter
        from llamafactory.data.parser import DatasetAttr

        attribute = DatasetAttr("file", dataset_name="set.json")
        attribute.join(entry)
        return get_dataset_converter(attribute.formatting, attribute, self.data)  # type: ignore[no-any-return]

    def fate(self, convert: Convert, example: dict[str, Any]) -> Fate:
        """What the trainer does with a row of its table."""
        try:
            converted = convert(example)
            made = self.processor.preprocess_dataset({key: [value] for key, value in converted.items()})
        except Exception:  # whatever it is, the run ends
            return Fate("stops")
        if not made["input_ids"]:
            return Fate("dropped")
        ids, labels = made["input_ids"][0], made["labels"][0]
        learnt = [label for label in labels if label != MASKED]
        return Fate("kept", len(ids), len(learnt), ids.count(PAD), self._bytes(converted, learnt))

    def _bytes(self, converted: dict[str, Any], learnt: list[int]) -> int:
        single = len(converted["_prompt"]) == 1 and not self.data.train_on_prompt and PAD not in learnt
        return len(encoding("qwen3").decode_bytes(learnt)) if single else -1


def tabled(row: dict[str, Any]) -> dict[str, Any]:
    """The row as it comes out of the table that the trainer reads a file into."""
    from datasets import Dataset

    return dict(Dataset.from_list([row])[0])


def difference(theirs: Fate, ours: RecordCheck) -> str:
    """How the two accounts differ; empty when they do not."""
    if theirs.verdict != ours.verdict:
        return f"{theirs.verdict} by the trainer, {ours.verdict} by the check"
    if theirs.verdict != "kept":
        return ""
    if not ours.counted:
        return ""
    if (theirs.ids, theirs.labels) != (ours.input_tokens, ours.label_tokens):
        return f"ids and labels {theirs.ids}, {theirs.labels}; {ours.input_tokens}, {ours.label_tokens}"
    codes = {code for code, _ in ours.faults}
    if "pad_token" not in codes and (theirs.pads < sum(ours.image_tokens)) != ("image_cut" in codes):
        return f"{theirs.pads} picture tokens stay of {sum(ours.image_tokens)}"
    cut = [words for code, words in ours.faults if code == "answer_cut" and "bytes" in words]
    if cut and theirs.answer_bytes >= 0:
        stays = int(cut[0].split("bytes ")[1].split(" ")[0].replace(",", ""))
        if stays != theirs.answer_bytes and not cut_thought(theirs.answer_bytes, stays):
            return f"{theirs.answer_bytes} bytes of the answer stay, {stays} by the check"
    return ""


def cut_thought(theirs: int, ours: int) -> bool:
    """Whether the two differ by the empty thought, which the trainer's labels hold too."""
    thought = len("<think>\n\n</think>\n\n")
    return theirs - ours == thought or (ours == 0 and theirs <= thought)
