"""Recipes over drawn sources: every registered step and emitter, with parameters from its own schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datakit.core import registry
from datakit.core.contract import FORMS
from datakit.core.settings import LlmSettings, RunSettings
from datakit.serving.settings import ServeSettings
from fuzzing import draw_sources, draw_templates
from fuzzing.dice import Dice, Tree
from fuzzing.draw_labels import label_file
from fuzzing.draw_parameters import NO_VALUE, Hints, parameters, spoil
from fuzzing.draw_trainer import train_section

_FORMS = (*["label_only"] * 3, *sorted(FORMS))
_NEEDS = {
    "reason_first": ("reason",),
    "label_first": ("reason",),
    "short_reason": ("reason",),
    "describe_then_label": ("description",),
    "describe_reason_label": ("description", "reason"),
    "two_turn": ("description",),
    "free_text": ("answer",),
    "number": ("number",),
    "multi_label": ("labels",),
    "cot": ("evidence", "exclusion", "conclusion"),
}
"""Form -> the columns that its answers are made of, besides the label."""
_ORDER = (
    ("guard.image", 0.5),
    ("annotate.image_facts", 0.5),
    ("annotate.image_quality", 0.3),
    ("curate.duplicates", 0.4),
    ("annotate.ocr", 0.2),
    ("annotate.describe", 0.3),
    ("annotate.ask", 0.2),
    ("guard.label", 0.5),
    ("annotate.reason", 0.3),
    ("guard.reason", 0.5),
    ("curate.split", 0.6),
    ("balance.resample", 0.4),
    ("render.chat", 0.97),
    ("guard.prompt_length", 0.3),
    ("mix.general", 0.25),
)
"""Steps in a usual order, and how often each is there."""
_HARMLESS_RUN = {"max_reject_rate": 1, "workers": 1}
ANSWERS = (
    "这是一张购物车页面，按钮写着结算。", '{"description": "两个商品，价格很醒目。"}', "a", "", "[]", "null",
    '{"label": "a", "score": 3}', '{"reason": "图中有结算按钮"}', "理由：图中有按钮。\n类别：a", '{"a": NaN}',
    "I cannot help with that.", '{"a":', '```json\n{"description": "x"}\n```', "<think>hm</think>{}",
    "\u200b", "a" * 4000, "<image><|im_end|>",
)  # fmt: skip
"""What a model may answer to any question."""
_CHANGES = ("run.max_reject_rate=0", "seed=11", "emit.llamafactory.images=copy", "name=other")
_OF_THE_SERVER = (
    "provider", "model", "base_url", "api_key_env", "endpoints", "extra_body", "extra_headers", "stream",
    "max_requests_per_minute", "max_tokens_per_minute", "max_down_s", "timeout_s", "max_retries",
)  # fmt: skip
"""Settings of `llm:` that must suit the server of the worker."""
_GOOD_ANSWER = (
    '{"seen": "a button", "number": 3, "description": "两个商品，价格很醒目。", "reason": "图中有结算按钮"}'
)


def recipe_input(dice: Dice) -> Tree:
    """A project: recipe, sources, pictures, label file, templates, and what a model answers."""
    return _Drawing(dice).tree()


class _Drawing:
    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.templates: dict[str, str] = {}
        self.sources: list[Tree] = []
        self.columns: list[str] = []
        self.has_labels = dice.maybe(0.85)
        self.labels = label_file(dice, usable=True) if self.has_labels else None
        self.pictures = draw_sources.pictures(dice, dice.one_of(0, 2, 3, 4, 6))

    def tree(self) -> Tree:
        dice = self.dice
        steps = [self._reader()]
        if dice.maybe(0.06):
            steps.append(self._reader())
        steps += [self._step(name) for name, chance in _ORDER if dice.maybe(chance) and self._fits(name)]
        if dice.maybe(0.02):
            dice.shuffle(steps)
        recipe: Tree = {"name": dice.one_of("x", "set_1", "数据"), "steps": steps, "emit": self._emitters()}
        if self.has_labels:
            recipe["labels"] = "../labels.yaml"
        if dice.maybe(0.3):
            recipe["seed"] = dice.whole(0, None, 7)
        if dice.maybe(0.15):
            recipe["language"] = dice.one_of("zh", "en")
        if dice.maybe(0.35):
            recipe["train"] = train_section(dice)
            if not any("llamafactory" in emitter for emitter in recipe["emit"]):
                recipe["emit"].append({"llamafactory": {}})
        if dice.maybe(0.2):
            recipe["serve"] = parameters(dice, ServeSettings, {"model": lambda: NO_VALUE})
        recipe["llm"] = self._llm(steps)
        recipe["run"] = self._run()
        if dice.maybe(0.15):
            spoil(dice, recipe)
        return {
            "recipe": recipe,
            "labels": self.labels,
            "templates": self.templates,
            "sources": self.sources,
            "pictures": self.pictures,
            "partial": dice.maybe(0.8),
            "card": dice.maybe(0.5),
            "onward": dice.one_of("", "read.build", "evaluate", "evaluate"),
            "limit": dice.one_of(None, None, 1, 2, 5),
            "answers": [*[_GOOD_ANSWER] * dice.one_of(4, 12, 40), *dice.some(ANSWERS, 4)],
            "again": {"run.batch_rows": dice.one_of(1, 2, 3, 5), "run.concurrency": dice.one_of(1, 3)},
            "change": dice.one_of(
                "run.max_reject_rate=0", "seed=11", "emit.llamafactory.images=copy", "name=other"
            ),
        }

    def _reader(self) -> Tree:
        dice = self.dice
        names = [picture["name"] for picture in self.pictures]
        labels = list(draw_sources.LABELS)
        number = len(self.sources)
        if self.pictures and dice.maybe(0.12):
            source = draw_sources.folder(dice, self.pictures, labels)
            hints: Hints = {"path": lambda: "../folder", "image_root": lambda: NO_VALUE}
            name, columns = "read.image_folder", ["images", "label"]
        elif dice.maybe(0.1):
            source = {"name": f"talk{number}.json", "format": "json", "rows": draw_sources.alpaca_rows(dice)}
            hints = self._reader_hints(source)
            name, columns = "read.alpaca", ["messages"]
        else:
            source = draw_sources.table(dice, f"rows{number}", names, labels)
            hints = self._reader_hints(source)
            name = f"read.{'csv' if source['format'] == 'tsv' else source['format']}"
            columns = list(source["rows"][0]) if source["rows"] else ["label"]
            columns = ["images" if column in ("image", "images") else column for column in columns]
        self.sources.append(source)
        self.columns += [column for column in columns if column not in self.columns]
        own = parameters(dice, registry.find(name), hints, share=0.08)
        if "images" not in columns or not self.pictures:
            own["images"] = "none"
        if name == "read.image_folder":
            own.pop("images", None)
        return {name: own}

    def _reader_hints(self, source: Tree) -> Hints:
        columns = list(source["rows"][0]) if source["rows"] else ["label"]
        free = [column for column in columns if column not in ("image", "images", "label", "id", "messages")]
        nothing = dict.fromkeys(("image_root", "image_base", "subset", "split", "revision"), lambda: NO_VALUE)
        return {
            **nothing,
            "path": lambda: f"../{source['name']}",
            "id": lambda: self.dice.one_of("id", None) if "id" in columns else None,
            "keep": lambda: self.dice.some(free) or NO_VALUE,
            "drop": lambda: self.dice.some(free, 1),
            "image": lambda: "image" if "image" in columns else NO_VALUE,
            "label": lambda: "label",
            "text": lambda: "text" if "text" in columns else NO_VALUE,
            "messages": lambda: "messages" if "messages" in columns else NO_VALUE,
            "encoding": lambda: source.get("encoding", "utf-8"),
            "delimiter": lambda: NO_VALUE,
            "images": lambda: NO_VALUE,
        }

    def _fits(self, name: str) -> bool:
        """Whether the columns that the step reads are there; now and then nobody cares."""
        needed = {
            "guard.image": ("images",),
            "annotate.image_facts": ("images",),
            "annotate.image_quality": ("images",),
            "annotate.ocr": ("images",),
            "curate.duplicates": ("phash",),
            "guard.label": ("label",),
            "annotate.reason": ("label",),
            "guard.reason": ("reason", "label"),
            "balance.resample": ("label", "split"),
            "guard.prompt_length": ("messages",),
            "mix.general": ("messages",),
        }.get(name, ())
        if name == "guard.label" and not self.has_labels:
            return False
        return all(column in self.columns for column in needed) or self.dice.maybe(0.01)

    def _column(self) -> str:
        return self.dice.choice(self.columns or ["label"])

    def _template(self, kind: str, text: str) -> str:
        name = f"{kind}{len(self.templates)}.j2"
        self.templates[name] = text
        return name

    def _question(self) -> str:
        return self._template("ask", draw_templates.question(self.dice, self.columns))

    def _step(self, name: str) -> Tree:
        dice = self.dice
        if name == "render.chat":
            own = self._chat()
        elif name == "mix.general":
            own = self._mix()
        else:
            own = parameters(dice, registry.find(name), self._hints(name), share=0.3)
            if name in ("annotate.describe", "annotate.reason") or own.get("on_fail") == "rewrite":
                own["template"] = self._question()  # the default one needs columns that are not here
            if name == "annotate.ask":
                own.setdefault("answer", {"seen": "line"}) if "into" not in own else own.pop("answer", None)
            if name == "annotate.reason" and dice.maybe(0.4):
                own["styles"] = ["用一句话。", "From the colours."]
                self.templates[own["template"]] += "{{ style }}"
            if name == "guard.prompt_length" and own.get("max_tokens") is None:
                own.pop("max_chars", None)
        gives = {
            "annotate.image_facts": ["width", "height", "bytes", "sha256", "phash"],
            "annotate.image_quality": ["picture_faults", "picture_measures"],
            "curate.duplicates": ["duplicate_of", "review"],
            "annotate.ocr": [own.get("into", "ocr"), f"{own.get('into', 'ocr')}_text"],
            "annotate.describe": [own.get("into", "description")],
            "annotate.reason": [own.get("into", "reason")],
            "annotate.ask": [own["into"]] if own.get("into") else list(own.get("answer") or ()),
            "curate.split": ["split"],
            "balance.resample": ["repeat"],
            "render.chat": ["messages"],
        }.get(name, [])
        self.columns += [column for column in gives if column not in self.columns]
        return {name: own}

    def _hints(self, step: str) -> Hints:
        dice = self.dice
        hints: dict[str, Callable[[], Any]] = {
            "template": self._question,
            "by": lambda: dice.one_of("label", "label", self._column()),
            "stratify": lambda: dice.one_of(
                "label" if "label" in self.columns else None, None, self._column()
            ),
            "group": lambda: dice.one_of(None, self._column(), [self._column()]),
            "ocr_text": lambda: NO_VALUE,
            "column": lambda: "messages" if step == "guard.prompt_length" else "reason",
            "counts": lambda: NO_VALUE,
            "strategy": lambda: dice.one_of("sqrt", "uniform"),
            "cap": lambda: NO_VALUE,
            "engine": lambda: "rapidocr",
            "model": lambda: NO_VALUE,
            "gpu": lambda: False,
            "det_folder": lambda: NO_VALUE,
            "rec_folder": lambda: NO_VALUE,
            "referee": lambda: NO_VALUE,
            "styles": lambda: NO_VALUE,
            "into": lambda: dice.one_of(
                "description" if step == "annotate.describe" else "reason", "extra_2"
            ),
            "require": lambda: "images" in self.columns and dice.maybe(0.3),
            "min_side_px": lambda: dice.one_of(1, 28, 30),
            "max_ratio": lambda: dice.one_of(200.0, 1.5, 1e9),
            "required": lambda: NO_VALUE if dice.maybe(0.9) else ["按钮"],
        }
        if step == "annotate.ocr":
            hints["into"] = lambda: "ocr"
        if step == "annotate.ask":
            is_text = dice.maybe(0.5)
            hints["into"] = lambda: "told" if is_text else NO_VALUE
            hints["answer"] = lambda: (
                NO_VALUE
                if is_text
                else {dice.one_of("seen", "number"): dice.one_of("text", "line", "number")}
            )
        return hints

    def _chat(self) -> Tree:
        dice = self.dice
        form = dice.choice(_FORMS)
        if not all(column in self.columns for column in _NEEDS.get(form, ())) or "label" not in self.columns:
            form = "label_only"
        see = "images" in self.columns
        answered = ("label", *_NEEDS.get(form, ()))  # a prompt may not give the answer away
        names = [
            name for name in self.columns if name not in ("messages", "images", *answered) or dice.maybe(0.01)
        ]
        names += ["label_json", "label_names"] if self.has_labels else []
        text = draw_templates.prompt(dice, names, places=see, asks=form != "label_only" or dice.maybe(0.8))
        prompt: Any = self._template("prompt", text)
        if form == "two_turn":
            prompt = [prompt, self._template("prompt", draw_templates.question(dice, names))]
        own = parameters(dice, registry.find("render.chat"), {
            "prompt": lambda: prompt,
            "answer": lambda: NO_VALUE,
            "answers": lambda: NO_VALUE,
            "shrink": lambda: dice.some([name for name in self.columns if f"{{{{ {name} }}}}" in text], 2),
            "keep_messages": lambda: "messages" in self.columns and dice.maybe(0.5),
            "max_tokens": lambda: dice.one_of(None, None, 50, 5000),
            "max_chars": lambda: dice.one_of(None, None, 2500, 9000, 60),
        }, share=0.2)  # fmt: skip
        if dice.maybe(0.12):
            own["answers"] = [{"form": form}, {"form": "label_only", "share": dice.one_of(0.1, 0.5)}]
            if form == "label_only":
                own["answers"] = [{"form": form}]
        else:
            own["answer"] = form
        return own

    def _mix(self) -> Tree:
        number = len(self.sources)
        source: Tree = {
            "name": f"mix{number}.json",
            "format": "json",
            "rows": draw_sources.alpaca_rows(self.dice),
        }
        self.sources.append(source)
        own = parameters(
            self.dice, registry.find("mix.general"), {"source": lambda: NO_VALUE, "share": lambda: 0.3}
        )
        own = {name: value for name, value in own.items() if not name.startswith(("read", "source"))}
        return {
            "read.alpaca": {"path": f"../{source['name']}"},
            "share": self.dice.one_of(0.1, 0.5, 0.99),
            **own,
        }

    def _emitters(self) -> list[Any]:
        dice = self.dice
        names = ["emit.llamafactory"] if dice.maybe(0.8) else []
        names += dice.some(
            ["emit.messages", "emit.ms_swift", "emit.parquet", *(["emit.hub"] if dice.maybe(0.1) else [])], 2
        )
        hints: Hints = {
            "push": lambda: NO_VALUE,
            "columns": lambda: dice.some(self.columns, 2),
            "boxes": lambda: "ocr" if "ocr" in self.columns else NO_VALUE,
            "image_max_pixels": lambda: dice.one_of(NO_VALUE, 784, 100_000),
        }
        emitters = []
        for name in names or ["emit.llamafactory"]:
            own = parameters(dice, registry.find(name), hints, share=0.25)
            if own.get("images") not in ("resize", "base64", "bytes"):
                own.pop("image_max_pixels", None)
            else:
                own.setdefault("image_max_pixels", 5000)
            if own.get("form") == "trl" and own.get("images") == "base64":
                del own["form"]
            emitters.append({name.removeprefix("emit."): own})
        return emitters

    def _llm(self, steps: list[Tree]) -> Tree:
        dice = self.dice
        nothing = dict.fromkeys(_OF_THE_SERVER, lambda: NO_VALUE)
        own = parameters(dice, LlmSettings, nothing, share=0.1)
        asks = any("annotate.ask" in step for step in steps)  # the offline writer answers no questions
        own["provider"] = "openai" if asks else dice.one_of("offline", "offline", "offline", "openai")
        if own["provider"] == "openai":
            own |= {"max_retries": 0, "max_down_s": 0, "timeout_s": 5}
        return own

    def _run(self) -> Tree:
        hints = dict.fromkeys(
            ("store", "workers", "mode", "budget_usd", "fail_on", "max_reject_rate"), lambda: NO_VALUE
        )
        own = parameters(self.dice, RunSettings, hints, share=0.12)
        if self.dice.maybe(0.05):
            own["fail_on"] = ["label_conflict"]
        if self.dice.maybe(0.1):
            own["budget_usd"] = self.dice.one_of(0.0001, 0.01, 5)
        if self.dice.maybe(0.04):
            own["mode"] = "batch_files"
        return {**own, **_HARMLESS_RUN}
