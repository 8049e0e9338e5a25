"""One record of the build asked at a fresh server: it answers, and counts the prompt as the training did."""

from __future__ import annotations

from dataclasses import dataclass

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import DatakitError, UserError
from datakit.core.qwen_models import QwenModel
from datakit.serving.classifier import CannotClassify, Classifier
from datakit.serving.endpoint import Endpoint, NoAnswer
from datakit.serving.items import NoPrompt
from datakit.serving.prompting import BuildPrompts
from datakit.serving.records import split_items
from datakit.serving.requirements import prompt_tokens


@dataclass(frozen=True)
class Smoke:
    """What came of it."""

    good: bool
    text: str
    """For the terminal."""


def smoke_test(build: BuildFolder, url: str, name: str, model: QwenModel | None = None) -> Smoke:
    """Asks about the first record of validation (else of training).

    With `model`, the server's count of the prompt's tokens must be the trainer's: anything else means other
    pixels or another chat template than in training.
    """
    build = next(iter(build.tasks), build)  # of several tasks the first, as good as any
    try:
        items = split_items(build, "val") or split_items(build, "train")
        item = next(iter(items), None)
        if item is None:
            raise UserError(f"{build.path} holds no record to ask about", remedy="Build again.")
        prompts = BuildPrompts.load(build, rendered=True)
        with Classifier(prompts, Endpoint(url), model=name) as classifier:
            asked = classifier.ask(item)
    except (NoAnswer, NoPrompt, CannotClassify) as problem:
        return Smoke(False, f"The server does not answer record {item.id if item else '?'}: {problem}")
    except DatakitError as error:
        return Smoke(False, f"The smoke test failed: {error}")
    answer = asked.reply.parted(prompts.form).answer
    parsed = prompts.form.parse(answer, prompts.recipe.labels)
    stated = parsed.label or f"no label ({parsed.problem}: {answer[:80]!r})"
    text = f"Record {asked.id}: truth {item.label}, answered {stated} in {asked.seconds:g} s"
    if model is None or asked.tokens_in is None or len(prompts.form.turns) > 1:
        return Smoke(True, f"{text}.")
    expected = prompt_tokens(build, item.messages, tuple(map(str, item.images)), model)
    if asked.tokens_in != expected:
        return Smoke(
            False,
            f"{text}.\nThe server counts {asked.tokens_in:,} prompt tokens, the training had {expected:,}: "
            "its pixels or its chat template are not those of the training.",
        )
    return Smoke(True, f"{text}; {expected:,} prompt tokens, as in training.")
