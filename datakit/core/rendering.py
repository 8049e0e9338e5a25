"""The text of a template and a record, or whose fault it is: the template's, or that of too large values."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

from jinja2 import Template, TemplateError

from datakit.core.errors import DatakitError, UserError
from datakit.core.template_sizes import Unbounded

UNBOUNDED = "template_unbounded"
"""The reason of a record whose values are too much for a template."""
_SHORT = 50
"""Characters or members to which every value is cut, to see whether it is the template's fault."""


class TooLarge(DatakitError):
    """A record's values take a template over a bound. Another record can be rendered."""

    reason = UNBOUNDED

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def render(
    template: Template, constant: Mapping[str, Any], record: Mapping[str, Any], who: str | None = None
) -> str:
    """The text. `constant` is the same for all records; `who` is the id of this one.

    Raises UserError naming the template's line where it fails, and TooLarge where only this record does.
    """
    try:
        return template.render({**constant, **record})
    except UserError:
        raise
    except Unbounded as error:
        if record and not _is_unbounded(template, {**constant, **{k: _cut(v) for k, v in record.items()}}):
            raise TooLarge(f"{_place(template, error)}: with this record {error}") from None
        raise _failed(template, error, None) from None
    except Exception as error:  # whatever a template raises is shown to its author, with its line
        raise _failed(template, error, who) from None


def _is_unbounded(template: Template, values: Mapping[str, Any]) -> bool:
    try:
        template.render(values)
    except Unbounded:
        return True
    except Exception:  # with cut values it may fail in any way: that it ends is all that is asked here
        return False
    return False


def _cut(value: Any) -> Any:
    """The value, short."""
    if isinstance(value, str):
        return type(value)(value[:_SHORT])
    if isinstance(value, dict):
        return {name: _cut(inner) for name, inner in list(value.items())[:_SHORT]}
    if isinstance(value, list | tuple):
        return type(value)(map(_cut, value[:_SHORT]))
    return min(max(value, -_SHORT), _SHORT) if isinstance(value, int | float) else value


def _place(template: Template, error: BaseException) -> str:
    """`file:line` of the template's innermost line that was at work, that of a part that it includes too."""
    environment = template.environment
    loaded = environment.cache.values() if environment.cache is not None else ()
    files = {template.filename, *(part.filename for part in loaded)}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    file, line = (frames[-1].filename, frames[-1].lineno) if frames else (template.filename, 1)
    return f"{file or template.name}:{line or 1}"


def _failed(template: Template, error: Exception, who: str | None) -> UserError:
    is_unbounded = isinstance(error, Unbounded)
    kind = "" if isinstance(error, TemplateError | Unbounded) else f"{type(error).__name__}: "
    remedy = "Columns can be null; guard them with {% if column %}."
    if isinstance(error, RecursionError):
        kind, error = (
            "",
            RecursionError("it calls or includes itself without end, or nests values too deeply"),
        )
        remedy = "Let a macro or a part call itself only as long as something gets shorter."
    elif is_unbounded:
        remedy = (
            "Put fewer loops into each other, and repeat and pad less. No record could be rendered with it."
        )
    about = f" for record {who}" if who else ""
    return UserError(
        f"template {template.name} fails{about}: {kind}{error}", remedy=remedy, where=_place(template, error)
    )
