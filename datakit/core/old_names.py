"""What transforms of datakit 0.1 called their methods, so that plug-ins written for it still work."""

from __future__ import annotations

from typing import Any

_OLD_METHODS = {"needs": "inputs", "gives": "outputs", "part_keys": "sub_result_keys"}
"""Name in datakit 0.1 -> name. Goes with 0.3."""


def accept_old_names(cls: type[Any]) -> None:
    """Takes what plug-ins of datakit 0.1 declared, such as `needs`, `sources`, `optional` as a tuple."""
    own = vars(cls)
    for old, name in _OLD_METHODS.items():  # both ways: a plug-in may also call a method by its old name
        if old in own and name not in own:
            setattr(cls, name, own[old])
        elif name in own:
            setattr(cls, old, own[name])
    if "sources" in own and "files" not in own:
        cls.files = own["sources"]
    if isinstance(own.get("optional"), tuple):
        cls.optional = lambda self, context, names=own["optional"]: names
    if own.get("executor") == "async":
        cls.executor = "event_loop"
        if "asks_model" not in own:  # "async" said both
            cls.asks_model = property(lambda self: True)
