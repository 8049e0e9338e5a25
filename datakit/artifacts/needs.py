"""What a machine must have to take a build to its scores: reckoned when it is packed, read by any Python."""

from __future__ import annotations

from dataclasses import dataclass, fields

TRAINER_VERSION = "0.9.5"
"""LLaMA-Factory's, for which training configurations are written."""
SERVER_VERSIONS = ("0.25.1", "0.32.0")
"""vLLM's: the first served Qwen-VL models by their builds' plans on an H100, the second in the tests."""
PACKAGES = ("numpy", "jinja2", "pydantic", "pillow")
"""Of a Python that runs what a bundle carries."""


@dataclass(frozen=True)
class Needs:
    """Figures of a build; 0 or "" is one that could not be reckoned. Sizes are bytes."""

    base: str = ""
    """The base model: a name at a hub, or the folder that it was in where the build was made."""
    base_bytes: int = 0
    family: str = ""
    """`model_type` of its config.json."""
    parameters: int = 0
    method: str = "lora"
    gpus: int = 1
    """Of each node."""
    nodes: int = 1
    mode: str = ""
    """How the training is shared out: `none`, or a DeepSpeed configuration such as `z3_offload`."""
    gpu_bytes: int = 0
    """Of each GPU in training, by the memory plan."""
    host_bytes: int = 0
    """Of each node in training, by the memory plan."""
    serve_gpus: int = 1
    serve_bytes: int = 0
    """Of each GPU in serving, by the serving plan: weights, working memory, cache of the longest request."""
    checkpoint_bytes: int = 0
    """Of one checkpoint: weights and optimizer states."""
    checkpoints: int = 0
    """Most checkpoints that stand at once."""
    trained_bytes: int = 0
    served_bytes: int = 0
    rows: int = 0
    """Training rows of an epoch."""
    pictures: int = 0
    """In the rows that the trainer preprocesses, those of evaluation with them."""
    workers: int = 1
    """Preprocessing at once."""
    steps: int = 0
    tokens: int = 0
    """Of the whole training, pictures with them."""
    token_flops: int = 0
    """Floating-point operations of the training on one token."""
    questions: int = 0
    """Records of the split that is asked."""
    question_tokens: int = 0
    """Of all of them, as an upper bound."""

    @classmethod
    def of(cls, document: object) -> Needs:
        """Out of JSON; what this version does not know is left out."""
        known = {entry.name for entry in fields(cls)}
        given = document if isinstance(document, dict) else {}
        return cls(**{name: value for name, value in given.items() if name in known})

    @property
    def run_bytes(self) -> int:
        """Disk of the run's folder: checkpoints, the trained and the served model."""
        return self.checkpoint_bytes * self.checkpoints + self.trained_bytes + self.served_bytes

    @property
    def base_is_folder(self) -> bool:
        return self.base.startswith("/")

    @property
    def deepspeed(self) -> bool:
        return self.mode not in ("", "none")
