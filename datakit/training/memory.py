"""The memory that a training needs on each GPU and each host, reckoned before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datakit.core.qwen_models import QwenModel

MODES = ("none", "z0", "z2", "z2_offload", "z3", "z3_offload_optimizer", "z3_offload")
"""Ways to share a training out, from the quickest to the most frugal. `none` is the trainer without
DeepSpeed; the rest are its ZeRO stages with the optimizer, or optimizer and parameters, on the host."""

GIB = 1 << 30
RESERVE = 3 * GIB // 2
"""Bytes of a GPU that no tensor gets: the CUDA context, communication buffers and fragmentation."""
HOST_FACTOR = 1.5
"""DeepSpeed's own allowance on host figures, for pinned buffers; shown beside the bare figure."""


@dataclass(frozen=True)
class Batch:
    """What one forward pass holds."""

    rows: int
    """Of one GPU, without accumulation."""
    tokens: int
    """Longest row, pictures included."""
    image_tokens: int
    """Of them in pictures."""
    checkpointing: bool = True
    fused_loss: bool = False
    """Liger's loss never holds the logits of a whole batch."""


@dataclass(frozen=True)
class Trained:
    """Which parameters are trained."""

    parameters: int
    """Trained ones, adapters included."""
    frozen: int
    """Held in memory beside them, never changed."""
    frozen_bytes: float = 2.0
    """Of one frozen parameter: 2 in half precision, 0.5 when quantised to 4 bits."""
    vision: bool = False
    """Whether some of these are in the vision tower."""
    through_vision: bool = False
    """Whether gradients flow through the vision tower, so that its activations are kept."""


@dataclass(frozen=True)
class Need:
    """Bytes that a mode needs."""

    mode: str
    gpu_states: int
    """Weights, gradients and optimizer on each GPU."""
    gpu_activations: int
    """Estimate of what a step holds besides, on each GPU."""
    host: int
    """Of each node, without DeepSpeed's allowance."""

    @property
    def gpu(self) -> int:
        return self.gpu_states + self.gpu_activations + RESERVE


def states(mode: str, trained: Trained, largest: int, gpus: int, nodes: int) -> tuple[int, int]:
    """Bytes per GPU and per node of weights, gradients and optimizer; `gpus` are those of one node.

    With every parameter trained these are the figures of DeepSpeed's estimators
    (estimate_zero2/3_model_states_mem_needs with additional_buffer_factor 1): 2 bytes for half-precision
    weights, 18 for gradients (2 + 4), master weights (4) and Adam's moments (8). `none` is mixed precision
    without a half-precision copy: 4 + 4 + 8. Frozen parameters have weights alone, which ZeRO-3 shares out.
    """
    t, p = trained.parameters, trained.parameters + trained.frozen
    frozen, world = trained.frozen * trained.frozen_bytes, gpus * nodes
    weights = frozen + 2 * t
    loading = int(min(4 * t + frozen, 4 * p)) * gpus
    if mode == "none":
        return int(frozen + 16 * t), loading
    if mode == "z0":
        return int(weights + 18 * t), loading
    if mode == "z2":
        return int(weights) + int(18 * t / world), loading
    if mode == "z2_offload":
        return int(weights), max(int(loading / gpus) * world, 16 * t)
    gathered = 4 * largest
    if mode == "z3":
        return gathered + int((18 * t + frozen) / world), gathered * gpus
    if mode == "z3_offload_optimizer":
        return gathered + int(weights / world), int(16 * t / nodes)
    if mode == "z3_offload":
        return gathered, int((18 * t + frozen) / nodes)
    raise ValueError(f"no mode `{mode}`; known: {', '.join(MODES)}")


def largest_layer(size: QwenModel) -> int:
    """Parameters of the largest single module, as DeepSpeed counts it: gathered whole on each GPU."""
    experts = size.parts.layer if size.family.endswith("_moe") else 0  # one tensor holds all of a layer's
    return max(size.vocab * size.hidden, size.hidden * size.intermediate, experts)


KEPT_FROZEN = {"qwen2_vl": (16, 4), "qwen2_5_vl": (20, 6), "qwen3_vl": (16, 2)}
KEPT_TRAINED = {"qwen2_vl": (22, 6), "qwen2_5_vl": (30, 8), "qwen3_vl": (22, 4)}
"""Bytes that a block of the vision tower keeps of each patch for its gradients, a unit of its width and of
its MLP's: the tensors that transformers 5.6 saves in bfloat16 with SDPA, counted by their autograd hooks."""


def activations(size: QwenModel, batch: Batch, trained: Trained) -> int:
    """Estimate of the bytes that a step holds besides the states, with flash or SDPA attention.

    With checkpointing each layer keeps its input (2 bytes a value) and one layer at a time is recomputed:
    about 8 hidden and 4 intermediate widths. Without it every layer keeps those. The loss holds logits in
    half precision, in float32, their log-softmax and the gradient: 2 + 4 + 4 + 4 bytes a word of the
    vocabulary, usually the largest part. A frozen vision tower holds one block at a time, unless gradients
    flow through it: then every block keeps what these need, for the trainer recomputes only what has
    trained parameters.
    """
    tokens = batch.rows * batch.tokens
    inner = 2 * tokens * (6 * size.hidden + 2 * size.heads * size.head_dim + 4 * size.intermediate)
    kept = 2 * tokens * size.hidden * size.layers + inner if batch.checkpointing else inner * size.layers
    loss = 0 if batch.fused_loss else 14 * tokens * size.vocab
    patches = batch.rows * batch.image_tokens * 4  # two by two make a token
    width, mlp = (KEPT_TRAINED if trained.vision else KEPT_FROZEN)[size.size_family]
    block = patches * (width * size.vision_hidden + mlp * size.vision_intermediate)
    if not trained.through_vision:
        return kept + max(loss, block)
    if trained.vision and batch.checkpointing:
        return kept + 2 * patches * size.vision_hidden * size.vision_depth + max(loss, block)
    return kept + block * size.vision_depth + loss


def trained_by(keys: dict[str, Any], size: QwenModel) -> Trained:
    """What LLaMA-Factory trains under these keys."""
    vision = not keys.get("freeze_vision_tower", True)
    projector = not keys.get("freeze_multi_modal_projector", True)
    method = keys.get("finetuning_type", "lora")
    if method == "lora":
        bits = keys.get("quantization_bit")
        adapters = _adapters(size, int(keys.get("lora_rank", 8)), vision=vision)
        # peft makes the inputs of every tower ask for gradients where layers are recomputed, so that a frozen
        # vision tower goes backward too (transformers 5.6, peft 0.18: seen in its backward hooks).
        through = vision or not keys.get("disable_gradient_checkpointing")
        # Quantised weights have scales beside them: about 5% (bitsandbytes' double quantisation).
        return Trained(adapters, size.parameters, 2.0 if bits is None else bits / 8 * 1.05, vision, through)
    language = 0 if keys.get("freeze_language_model") else size.parts.embedding + size.parts.layers
    if method == "freeze":
        layers = abs(int(keys.get("freeze_trainable_layers", 2)))
        trained = min(layers, size.layers) * size.parts.layer
        return Trained(trained, size.parameters - trained)
    trained = language + (size.parts.vision if vision else 0)
    trained += size.parts.projector if projector else 0
    return Trained(trained, size.parameters - trained, vision=vision, through_vision=vision)


def _adapters(size: QwenModel, rank: int, *, vision: bool) -> int:
    """Adapters on every linear module of the language model: rank x (inputs + outputs) each."""
    query, key_value = size.heads * size.head_dim, size.kv_heads * size.head_dim
    attention = 2 * (size.hidden + query) + 2 * (size.hidden + key_value)
    mlp = 3 * (size.hidden + size.intermediate)
    tower = size.vision_depth * rank * 18 * size.vision_hidden if vision else 0
    return size.layers * rank * (attention + mlp) + tower


def batch_of(keys: dict[str, Any], tokens: int, image_tokens: int) -> Batch:
    """The pass that these keys make, over rows of at most `tokens`."""
    return Batch(
        rows=int(keys.get("per_device_train_batch_size", 1)),
        tokens=min(tokens, int(keys.get("cutoff_len", 4096))),
        image_tokens=image_tokens,
        checkpointing=not keys.get("disable_gradient_checkpointing", False),
        fused_loss=bool(keys.get("enable_liger_kernel", False)),
    )


def inputs(size: QwenModel, trained: Trained, batch: Batch, *, gpus: int, nodes: int) -> list[Need]:
    """What each mode would need, in the order of MODES; `gpus` are those of one node."""
    step = activations(size, batch, trained)
    needs = []
    for mode in MODES:
        gpu, host = states(mode, trained, largest_layer(size), gpus, nodes)
        needs.append(Need(mode, gpu, step, host))
    return needs


def mode_of(configuration: dict[str, Any] | None) -> str:
    """The mode that a training runs in; `configuration` is the DeepSpeed JSON, if there is one."""
    if configuration is None:
        return "none"
    zero = configuration.get("zero_optimization", {})
    stage = int(zero.get("stage", 0))
    optimizer = zero.get("offload_optimizer", {}).get("device", "none") != "none"
    parameters = zero.get("offload_param", {}).get("device", "none") != "none"
    if stage == 3:
        return "z3_offload" if parameters else "z3_offload_optimizer" if optimizer else "z3"
    if stage in (1, 2):  # stage 1 keeps whole gradients: reckoned as stage 2, which needs a little less
        return "z2_offload" if optimizer else "z2"
    return "z0"
