"""The prompt templates of a new project: the shipped ones of its task and language, as its own files."""

from __future__ import annotations

import re

from datakit.core.language import Language
from datakit.core.shipped import shipped_folder
from datakit.starting.deciding import Decided

_HEAD = re.compile(r"\A\{#.*?-?#\}\s*", re.DOTALL)
_OCR = re.compile(r"\{% if ocr_text .*?\{% endif %\}", re.DOTALL)
_PROMPTS = {
    "classify": "classify/classify",
    "vqa": "vqa/answer",
    "caption": "caption/caption",
    "extract": "extract/fields",
    "chats": "caption/caption",
}
_ABOUT = {
    "classify": "What the model is asked. Needs: images, label_json (the label block), answer_format.",
    "vqa": "What the model is asked. Needs: images, text (the question), answer_format.",
    "caption": "What the model is asked. Needs: images, answer_format.",
    "extract": "What the model is asked. Needs: images, answer_format (the fields of the recipe).",
    "chats": "Asks a served model; trained are the chats of the data. Needs: images, answer_format.",
}
_ASKED_BOXES = {
    "lines": "Asks for every line of text with its box. Needs: images, apart_from, answer_format.",
    "locate": "Asks where something is. Needs: images, ask_name, answer_format.",
    "read": "Asks what stands in a box. Needs: images, ask_box, answer_format.",
}


def box_tasks(decided: Decided) -> list[str]:
    """What is asked about boxes: without texts only where things are."""
    return ["locate", "lines", "read"] if decided.found.box_texts else ["locate"]


def prompts(decided: Decided) -> dict[str, str]:
    """File name -> text."""
    if decided.task == "boxes":
        return {
            f"{task}.j2": _own(f"grounding/{task}", _ASKED_BOXES[task], decided.language)
            for task in box_tasks(decided)
        }
    texts = {"prompt.j2": _own(_PROMPTS[decided.task], _ABOUT[decided.task], decided.language)}
    if decided.written:
        about = (
            "What a model is asked that writes the captions. Needs: nothing of the record but its pictures."
        )
        texts["describe.j2"] = _own("caption/describe", about, decided.language)
    return texts


def _own(name: str, about: str, language: Language) -> str:
    """A shipped template under a comment of its own, without the part for text that OCR read."""
    suffix = "_en" if language == "en" else ""
    text = (shipped_folder("templates") / f"{name}{suffix}.j2").read_text(encoding="utf-8")
    return f"{{# {about} -#}}\n{_OCR.sub('', _HEAD.sub('', text))}"
