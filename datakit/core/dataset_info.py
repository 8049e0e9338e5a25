"""LLaMA-Factory's index of data sets: what its entries may say, and what they mean where they say nothing."""

from __future__ import annotations

FORMATTINGS = ("alpaca", "sharegpt", "openai")
COLUMNS: dict[str, str | None] = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "history": None,
    "messages": "conversations",
    **dict.fromkeys(("system", "tools", "images", "videos", "audios", "chosen", "rejected", "kto_tag")),
}
"""What the trainer reads -> its column. An entry with `columns` has no column but those named there."""
TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
"""Keys of a turn, and what its roles are called, of an entry without `tags`."""
