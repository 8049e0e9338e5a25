"""The recipes that scripts/gpu_proof.py trains, each one change away from another, in order of worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PIXELS = 100_352
STEPS = 800
MANY_STEPS = {"plain": 1600, "twice": 2400}
"""Of the recipes with more training screens; every other one has STEPS."""
BATCH = 64
AGAIN = "nothing: another seed of the trainer"
PICTURES = "image_root: ../../small"
"""Where the pictures of the records lie, at the size of the training."""
PROMPTS = {
    "plain": "{% for _ in images %}<image>{% endfor %}类别？\n",
    "ocr": "{% for _ in images %}<image>{% endfor %}{{ ocr_text | without_status_bar }}\n类别？\n",
}
"""A model that starts from nothing reads no instructions: the shipped prompts are long constants to it."""


@dataclass(frozen=True)
class Variant:
    """A recipe and what it is compared with."""

    name: str
    change: str
    """What differs from `base`, for the table."""
    base: str = ""
    data: str = "quarter"
    """File of labelled training records, of those that `write_data` makes."""
    prompt: str = "plain.j2"
    answer: str = "label_only"
    before_split: tuple[str, ...] = ()
    after_split: tuple[str, ...] = ()
    pool: bool = False
    max_chars: int = 500
    seed: int = 42
    max_steps: int = STEPS
    parts: int = 2
    """Of a batch, that go through the model one after the other: more where rows are long."""

    @property
    def shows_text(self) -> bool:
        """Whether its prompt shows what OCR read."""
        return "ocr_text" in PROMPTS.get(self.prompt[:-3], "")

    @property
    def needs_text(self) -> bool:
        """Whether what OCR read may count: in the prompt, or for steps that doubt, predict or reason."""
        return self.shows_text or bool(self.before_split or self.after_split)

    @property
    def steps(self) -> list[str]:
        """The recipe's steps, one a line."""
        pool = (
            [f"read.jsonl: {{path: ../data/pool.jsonl, image: image, label: null, {PICTURES}}}"]
            if self.pool
            else []
        )
        return [
            f"read.jsonl: {{path: ../data/{self.data}.jsonl, image: image, label: label, {PICTURES}}}",
            *pool,
            f"read.jsonl: {{path: ../data/held_out.jsonl, image: image, label: label, {PICTURES}}}",
            "guard.image: {min_side_px: 28, max_ratio: 200}",
            f"guard.label: {{allow_missing: {str(self.pool).lower()}}}",
            *self.before_split,
            "curate.split: {val: 0.1, stratify: label}",
            *self.after_split,
            f"render.chat: {{prompt: {self.prompt}, answer: {self.answer}, max_chars: {self.max_chars}"
            + (", shrink: [ocr_text]}" if self.shows_text else "}"),
        ]

    def recipe(self, root: Path) -> str:
        """The recipe as a file; the held-out records say themselves that they are validation."""
        steps = "".join(f"  - {step}\n" for step in self.steps)
        base = f"as {self.base}, but: " if self.base else ""
        return RECIPE.format(
            name=self.name,
            about=f"{base}{self.change}",
            root=root,
            steps=steps,
            pixels=PIXELS,
            rows=BATCH // self.parts,
            parts=self.parts,
            max_steps=self.max_steps,
            half=self.max_steps // 2,
            seed=self.seed,
        )


RECIPE = """\
# recipes/{name}.yaml: {about}
# Written by scripts/gpu_proof.py.
version: 1
name: {name}
seed: 7
labels: {root}/templates/ecom/labels.yaml
llm: {{provider: offline}}
steps:
{steps}emit:
  - llamafactory: {{images: link}}
train:
  model: ../model
  method: full
  deepspeed: null
  image_max_pixels: {pixels}
  freeze_vision_tower: false
  freeze_multi_modal_projector: false
  disable_gradient_checkpointing: true
  learning_rate: 1.0e-3
  warmup_steps: 100
  weight_decay: 0.05
  per_device_train_batch_size: {rows}
  gradient_accumulation_steps: {parts}
  preprocessing_num_workers: 14
  dataloader_num_workers: 6
  max_steps: {max_steps}
  save_steps: {half}
  save_total_limit: 1
  eval_strategy: "no"
  logging_steps: 20
  plot_loss: false
  cutoff_len: 1024
  seed: {seed}
serve: {{gpu_memory_gb: 79.6, gpu_memory_utilization: 0.25}}
run: {{max_reject_rate: 1.0, fail_on: []}}
"""

_REASONS = (
    "annotate.describe: {template: ecom/describe.j2, into: description}",
    "annotate.reason: {template: ecom/reason.j2, into: reason}",
    "guard.reason: {max_similarity: 0.8, consistent: true, on_fail: mark}",
)
VARIANTS = (
    Variant("plain", "picture in, label out", data="train", max_steps=MANY_STEPS["plain"]),
    Variant(
        "twice",
        "twice the training screens, half as many steps again",
        "plain",
        data="twice",
        max_steps=MANY_STEPS["twice"],
    ),
    Variant("quarter", "a quarter of the training screens, half of the steps", "plain"),
    Variant("noisy", "5% of the training labels are wrong", "quarter", data="noisy"),
    Variant(
        "corrected",
        "labels that curate.label_noise doubts are its own suggestion, without a person",
        "noisy",
        data="noisy",
        before_split=("curate.overrides: {path: ../data/corrections.jsonl}",),
    ),
    Variant("few", "12 training screens a class", "quarter", data="few"),
    Variant(
        "pseudo",
        "unlabelled screens with pseudo-labels beside them",
        "few",
        data="few",
        pool=True,
        after_split=("annotate.predict: {}", "curate.pseudo_labels: {}"),
    ),
    Variant(
        "ocr",
        "the text that OCR read in the prompt",
        "quarter",
        prompt="ocr.j2",
        max_chars=300,
        parts=4,
    ),
    Variant(
        "label_first",
        "a reason behind the label",
        "quarter",
        answer="answer/label_first.j2",
        after_split=_REASONS,
        parts=4,
    ),
    Variant(
        "reason_first",
        "a reason before the label",
        "quarter",
        answer="answer/reason_first.j2",
        after_split=_REASONS,
        parts=4,
    ),
    Variant("tail", "100 screens of the commonest class down to 8 of the rarest", "quarter", data="tail"),
    Variant(
        "balanced",
        "balance.resample evens the classes out",
        "tail",
        data="tail",
        after_split=("balance.resample: {strategy: uniform, max_repeat: 8}",),
    ),
    Variant("again", AGAIN, "quarter", seed=43),
    Variant("noisy_again", AGAIN, "noisy", data="noisy", seed=43),
    Variant(
        "corrected_again",
        AGAIN,
        "corrected",
        data="noisy",
        before_split=("curate.overrides: {path: ../data/corrections.jsonl}",),
        seed=43,
    ),
    Variant(
        "names",
        "the shipped prompt with the names of all labels",
        "quarter",
        prompt="ecom/classify_v1.j2",
        parts=4,
    ),
)


def variant(name: str) -> Variant:
    """The variant of that name. Raises KeyError for another."""
    return {one.name: one for one in VARIANTS}[name]
