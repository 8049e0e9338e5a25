"""The figures of evaluations: what people call them, what unit they have, and which stand in short tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How a figure is shown."""

    title: str
    is_share: bool = True
    """Between 0 and 1, shown in percent; else in the unit of the numbers, or none."""


METRICS = {
    "accuracy": Metric("accuracy"),
    "subset_accuracy": Metric("subset accuracy"),
    "micro_f1": Metric("micro F1"),
    "macro_f1": Metric("macro F1"),
    "weighted_f1": Metric("weighted F1"),
    "hamming_loss": Metric("Hamming loss"),
    "mae": Metric("mean absolute error", is_share=False),
    "rmse": Metric("root mean squared error", is_share=False),
    "median_absolute_error": Metric("median absolute error", is_share=False),
    "spearman": Metric("Spearman", is_share=False),
    "within_tolerance": Metric("within tolerance"),
    "readable": Metric("answers that are a number"),
    "exact_match": Metric("exact match"),
    "char_f1": Metric("character F1"),
    "anls": Metric("ANLS"),
    "referee": Metric("referee"),
    "mean_iou": Metric("mean IoU"),
    "accuracy_50": Metric("records right at IoU 0.5"),
    "recall_50": Metric("recall at IoU 0.5"),
    "precision_50": Metric("precision at IoU 0.5"),
    "named_50": Metric("found with the true name"),
}
LESS_IS_BETTER = ("hamming_loss", "mae", "rmse", "median_absolute_error")
MAIN = {
    "label": ("accuracy", "macro_f1", "weighted_f1"),
    "labels": ("subset_accuracy", "micro_f1", "macro_f1"),
    "number": ("mae", "spearman", "within_tolerance"),
    "text": ("char_f1", "anls", "exact_match"),
    "boxes": ("mean_iou", "accuracy_50", "recall_50"),
}
"""Task -> the figures of a short table; the first is the one that says whether a model got better."""


def metric(name: str) -> Metric:
    """The figure of a name; one that this version does not know is shown under its name."""
    return METRICS.get(name) or Metric(name, is_share=False)


def main_metrics(task: str) -> tuple[str, ...]:
    """The figures of a task in a short table; none of a task that this version does not know."""
    return MAIN.get(task, ())


def shown(name: str, value: float) -> str:
    """The figure as text: 61.3%, or 0.72."""
    return f"{100 * value:.1f}%" if metric(name).is_share else f"{value:.4g}"


def shown_ends(name: str, low: float, high: float) -> str:
    """The ends of an interval as text, without a percent sign."""
    return f"{shown_end(name, low)} to {shown_end(name, high)}"


def shown_end(name: str, value: float) -> str:
    """An end of an interval as text, without a percent sign."""
    return f"{100 * value:.1f}" if metric(name).is_share else f"{value:.4g}"


def shown_change(name: str, value: float) -> str:
    """A difference as text, with its sign: points for shares."""
    return f"{100 * value:+.1f}" if metric(name).is_share else f"{value:+.4g}"
