"""Ways to write a reason, of which each record gets one."""

from __future__ import annotations

from functools import lru_cache

from datakit.core.errors import UserError
from datakit.core.plain_yaml import YamlFault, parse
from datakit.core.templates import Templates


@lru_cache(maxsize=16)
def styles_in(templates: Templates, name: str) -> tuple[str, ...]:
    """The list `styles:` of a YAML file that lies among the templates. Raises UserError."""
    text = templates.source(name)
    try:
        document = parse(text)
    except YamlFault as error:
        raise UserError(f"the styles in `{name}` are not YAML: {error}") from None
    rows = document.get("styles") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(r, str) and r.strip() for r in rows):
        raise UserError(
            f"`{name}` holds no list `styles:` of texts", remedy="See templates/ecom/styles.yaml."
        )
    return tuple(row.strip() for row in rows)


@lru_cache(maxsize=16)
def has_style(templates: Templates, name: str) -> bool:
    """Whether a template uses the variable `style`."""
    return "style" in templates.variables(name)
