"""The modules that a bundle carries: they render a prompt, read an answer and score answers.

They run on Python 3.10 with the packages of `PACKAGES` alone, so that a machine with a model and a bundle
needs no datakit: what it asks and what it counts is then the very code of the build. Whatever else they
need (YAML, tokens) they import where that work starts.

    prompt       Templates, LabelSet.from_json and Prompt into a Writer; Writer.prompt(record)
    picture      TrainedView.data_url(path), at the size of the training
    question     Question.ask(server); Asker puts many of them, over PlainConnection instead of aiohttp
    reply        Reply.of(chat_answer.read(completion), seconds): content, thinking, finish, tokens, logprobs
    answer       AnswerFormat.from_json(answer.json).parse(text, labels); Asked.prediction adds the confidence
    reward       AnswerContract.of(form).reward(text, truth): format and accuracy, for reinforcement learning
    score        score(PackedSource(PackedData(folder)), paths, Options()), as `datakit evaluate` does
    training     train(RunFolder.packed(PackedData(folder)), Place(), say, check_machine=...), and export
    server       running(ServeCommand.of(packed.serving, model), log)
    stages       predict and evaluate as a bundle's predict.py and evaluate.py call them
    handoff      Handoff(road).go(): every stage with its reason, its record, and status.json
"""

from __future__ import annotations

from pathlib import Path

import datakit

PACKAGES = ("jinja2", "numpy", "PIL", "pydantic")
"""What the modules import at most, besides the standard library."""

MODULES = (
    "datakit",
    "datakit.artifacts",
    "datakit.artifacts.data_set",
    "datakit.artifacts.document",
    "datakit.artifacts.emitted",
    "datakit.artifacts.format_version",
    "datakit.artifacts.metric_names",
    "datakit.artifacts.names",
    "datakit.artifacts.needs",
    "datakit.artifacts.packed",
    "datakit.artifacts.predictions",
    "datakit.artifacts.results",
    "datakit.artifacts.run_ids",
    "datakit.artifacts.serving",
    "datakit.bundling",
    "datakit.bundling.stages",
    "datakit.core",
    "datakit.core.answer",
    "datakit.core.answer_forms",
    "datakit.core.box_forms",
    "datakit.core.box_texts",
    "datakit.core.boxes",
    "datakit.core.clock",
    "datakit.core.contract",
    "datakit.core.contract_changes",
    "datakit.core.contract_values",
    "datakit.core.contract_words",
    "datakit.core.credentials",
    "datakit.core.disk_faults",
    "datakit.core.documented",
    "datakit.core.ends_with_parent",
    "datakit.core.errors",
    "datakit.core.evidence",
    "datakit.core.escaped_encodings",
    "datakit.core.faithful",
    "datakit.core.fences",
    "datakit.core.file_locks",
    "datakit.core.guided",
    "datakit.core.image",
    "datakit.core.image_memory",
    "datakit.core.interrupts",
    "datakit.core.json_bytes",
    "datakit.core.label_blocks",
    "datakit.core.labels",
    "datakit.core.likeness",
    "datakit.core.message_text",
    "datakit.core.nvidia_driver",
    "datakit.core.outcome",
    "datakit.core.parameters",
    "datakit.core.pixels",
    "datakit.core.private_files",
    "datakit.core.processes",
    "datakit.core.prompt",
    "datakit.core.quotations",
    "datakit.core.regular_files",
    "datakit.core.rendering",
    "datakit.core.replacing",
    "datakit.core.rewards",
    "datakit.core.scripts",
    "datakit.core.shrink",
    "datakit.core.statements",
    "datakit.core.status_bar",
    "datakit.core.template_bounds",
    "datakit.core.template_code",
    "datakit.core.template_files",
    "datakit.core.template_filters",
    "datakit.core.template_names",
    "datakit.core.template_sizes",
    "datakit.core.templates",
    "datakit.core.text_encoding",
    "datakit.core.tokens",
    "datakit.core.visible",
    "datakit.core.writer",
    "datakit.evaluation",
    "datakit.evaluation.bootstrap",
    "datakit.evaluation.boxes",
    "datakit.evaluation.calibration",
    "datakit.evaluation.cited_lines",
    "datakit.evaluation.confusion",
    "datakit.evaluation.evaluation",
    "datakit.evaluation.metrics",
    "datakit.evaluation.metrics_boxes",
    "datakit.evaluation.metrics_labels",
    "datakit.evaluation.metrics_numbers",
    "datakit.evaluation.metrics_text",
    "datakit.evaluation.outcomes",
    "datakit.evaluation.packed",
    "datakit.evaluation.source",
    "datakit.evaluation.summary",
    "datakit.evaluation.tasks",
    "datakit.evaluation.value_outcomes",
    "datakit.evaluation.worst",
    "datakit.handoff",
    "datakit.handoff.answering",
    "datakit.handoff.asked",
    "datakit.handoff.base_model",
    "datakit.handoff.bundle_command",
    "datakit.handoff.bundle_settings",
    "datakit.handoff.bundle_stages",
    "datakit.handoff.digests",
    "datakit.handoff.doctor",
    "datakit.handoff.finding",
    "datakit.handoff.handoff",
    "datakit.handoff.heartbeat",
    "datakit.handoff.journal",
    "datakit.handoff.listening",
    "datakit.handoff.own_server",
    "datakit.handoff.packed",
    "datakit.handoff.programs",
    "datakit.handoff.reasons",
    "datakit.handoff.road",
    "datakit.handoff.run_road",
    "datakit.handoff.stages",
    "datakit.handoff.status",
    "datakit.handoff.train_flags",
    "datakit.llm",
    "datakit.llm._client_setup",
    "datakit.llm._echoes",
    "datakit.llm._evidence",
    "datakit.llm._faults",
    "datakit.llm._json_objects",
    "datakit.llm._no_answer",
    "datakit.llm._plain_connection",
    "datakit.llm._refusals",
    "datakit.llm._wire",
    "datakit.llm.answer",
    "datakit.llm.answer_schema",
    "datakit.llm.chat_answer",
    "datakit.llm.chat_reply",
    "datakit.llm.json_answer",
    "datakit.llm.thoughts",
    "datakit.run",
    "datakit.run.progress",
    "datakit.serving",
    "datakit.serving.asker",
    "datakit.serving.asking",
    "datakit.serving.closed",
    "datakit.serving.confidence",
    "datakit.serving.context_refusals",
    "datakit.serving.endpoint",
    "datakit.serving.failures",
    "datakit.serving.images",
    "datakit.serving.items",
    "datakit.serving.located",
    "datakit.serving.launch",
    "datakit.serving.outage",
    "datakit.serving.predict",
    "datakit.serving.rooms",
    "datakit.serving.serve_command",
    "datakit.serving.served",
    "datakit.serving.starting",
    "datakit.training",
    "datakit.training.base_model",
    "datakit.training.export",
    "datakit.training.family",
    "datakit.training.launch",
    "datakit.training.leftovers",
    "datakit.training.logged_call",
    "datakit.training.progress",
    "datakit.training.run_folder",
    "datakit.training.run_lock",
    "datakit.training.safetensors",
    "datakit.training.supervise",
    "datakit.training.trainer",
    "datakit.training.trainer_process",
)
"""Closed under import: each imports of datakit only what stands here (a package stands for its __init__)."""


def carried() -> dict[str, Path]:
    """Path in a bundle, such as `datakit/core/answer.py` -> the module's file."""
    root = Path(datakit.__file__).parent.parent
    modules = {}
    for name in MODULES:
        place = root.joinpath(*name.split("."))
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        modules[file.relative_to(root).as_posix()] = file
    return modules
