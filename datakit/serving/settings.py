"""The recipe's `serve:` section: the machine that serves, and what is asked of it."""

from __future__ import annotations

from pydantic import Field, field_validator

from datakit.core.credentials import is_credential_field
from datakit.core.settings import Settings


class ServeSettings(Settings):
    """How the trained model is served with vLLM. What is not given is computed from the data."""

    model: str | None = None
    """Folder of the merged model, or a name at a hub; `datakit serve --model` goes first. Without it, the
    plan takes the architecture of `train.model`."""
    name: str | None = None
    """Name that requests must use (`--served-model-name`); the recipe's name when not given."""
    names: list[str] = Field(default_factory=list)
    """Further names that requests may use, such as that of a model whose place it takes."""
    general: bool = False
    """Whether questions of one's own are asked too: the context then has room for pages of text, the
    pictures and videos of a request and a long answer, as far as the memory goes."""
    images: int | None = Field(default=None, ge=1)
    """Most pictures of a request; as many as a record has when not given, and never fewer."""
    videos: int = Field(default=0, ge=0)
    """Most videos of a request. No memory is set aside for them when there are none."""
    gpu_memory_gb: float = Field(default=24, gt=0, le=10_000)
    """Memory of one GPU in GB as its maker counts (24 for an RTX 4090: 24 GiB)."""
    gpus: int = Field(default=1, ge=1)
    """GPUs of the machine; the model is split over them (`--tensor-parallel-size`)."""
    gpu_memory_utilization: float = Field(default=0.92, gt=0, le=1)
    """Share of each GPU's memory that vLLM takes; 0.92 is its own default."""
    max_model_len: int | None = Field(default=None, ge=256)
    """Longest prompt with pictures and answer, in tokens; from the data when not given."""
    max_answer_tokens: int | None = Field(default=None, ge=8)
    """Longest answer of each turn, in tokens; twice the longest one of its data when not given."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Port of 127.0.0.1 that the server listens on."""
    flags: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """Further flags of `vllm serve`, such as `{max-num-seqs: 64, enforce-eager: true}`; they win over the
    plan's own."""

    @field_validator("names")
    @classmethod
    def _are_names(cls, names: list[str]) -> list[str]:
        if any(not name.strip() or name.startswith("-") for name in names):
            raise ValueError("a name is a text that does not begin with a dash")
        return names

    @field_validator("flags")
    @classmethod
    def _without_keys(cls, flags: dict[str, bool | int | float | str]) -> dict[str, bool | int | float | str]:
        for name, value in flags.items():
            if is_credential_field(name) and isinstance(value, str):
                raise ValueError(
                    f"`{name}` would stand in serve.sh and in the list of processes; set the environment "
                    "variable instead (VLLM_API_KEY, HF_TOKEN), which vLLM reads itself"
                )
        return flags
