"""A plan to change, for tests of failures and starts."""

from __future__ import annotations

from datakit.core.pixels import FAMILIES, TRAINER
from datakit.core.qwen_models import qwen_model
from datakit.serving.plan import ServingPlan, plan_serving
from datakit.serving.requirements import Requirements
from datakit.serving.settings import ServeSettings

QWEN = FAMILIES["qwen2_5_vl"]
SEVEN = qwen_model("Qwen/Qwen2.5-VL-7B-Instruct")
DEMAND = Requirements(
    records=100,
    prompt_tokens=2444,
    answer_tokens=70,
    longest="screen-7",
    longest_tokens=2500,
    images=1,
    image_tokens=762,
    trainer=TRAINER,
    family=QWEN,
    served=QWEN.within(max_pixels=617_008),
)


def planned(
    settings: ServeSettings | None = None, demand: Requirements = DEMAND, *, cpu: bool = False
) -> ServingPlan:
    """A plan for the 7B model under the name `ecom`."""
    chosen = settings or ServeSettings()
    return plan_serving(SEVEN, demand, chosen, served="merged", name="ecom", cpu=cpu)
