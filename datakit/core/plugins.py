"""What other packages add, by entry points; an error of theirs names their package and the entry point."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from datakit.core.errors import UserError

TRANSFORMS = "datakit.transforms"
"""`"guard.mine" = "package.module:Mine"`, a Transform."""
PROVIDERS = "datakit.providers"
"""`mine = "package.module:Mine"`, a Provider."""
CARD_SECTIONS = "datakit.card_sections"
"""`mine = "package.module:section"`, a function of a BuildFolder that returns a Section, or None."""


@cache
def plugins(group: str) -> dict[str, EntryPoint]:
    """Name -> entry point. Raises UserError when two packages take one name."""
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = points.setdefault(point.name, point)
        if (other.value, package_of(other)) != (point.value, package_of(point)):
            raise UserError(
                f"two plug-ins are called `{point.name}`: {described(other)}, and {described(point)}",
                remedy="Uninstall one of the packages.",
            )
    return points


def load(point: EntryPoint) -> Any:
    """What the entry point names. Raises UserError, whatever importing it raises."""
    try:
        return point.load()
    except Exception as error:  # of another package: the user sees it, with its cause
        raise broken(point, f"does not load: {type(error).__name__}: {error}") from error


def broken(point: EntryPoint, fault: str) -> UserError:
    """The error of a plug-in, with the words of what is wrong."""
    return UserError(
        f"{described(point)} {fault}",
        remedy=f"Install {package_of(point) or 'its package'} again, or tell its authors.",
    )


def described(point: EntryPoint) -> str:
    """Package, version and entry point, as the subject of a sentence."""
    package = package_of(point) or "an unnamed package"
    return f'plug-in {package}: entry point {point.name} = "{point.value}" of the group {point.group}'


def package_of(point: EntryPoint) -> str:
    """The package and its version; empty when it does not say."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else ""
