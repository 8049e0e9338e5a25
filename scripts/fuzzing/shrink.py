"""A smaller input with the same fault."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

from fuzzing.dice import Tree


def smaller(tree: Tree, fails: Callable[[Tree], bool], seconds: float = 60.0) -> Tree:
    """The smallest tree met within the time that still fails: parts left out, texts cut, values plain."""
    until = time.monotonic() + seconds
    size, again = _size(tree), True
    while again and time.monotonic() < until:
        again = False
        for candidate in _candidates(tree):
            if time.monotonic() > until:
                break
            if _size(candidate) < size and fails(candidate):
                tree, size, again = candidate, _size(candidate), True
                break
    return tree


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(1 + _size(inner) for inner in value.values())
    if isinstance(value, list):
        return 1 + sum(_size(inner) for inner in value)
    return 1 + len(value) if isinstance(value, str) else 1


def _candidates(tree: Tree) -> Iterator[Tree]:
    """Large parts first."""
    paths = sorted(_paths(tree), key=lambda path: -_size(_at(tree, path)))
    for path in paths:
        value = _at(tree, path)
        yield _without(tree, path)
        if isinstance(value, list) and len(value) > 3:
            yield _with(tree, path, value[: len(value) // 2])
            yield _with(tree, path, value[len(value) // 2 :])
        if isinstance(value, str) and len(value) > 1:
            yield _with(tree, path, value[: len(value) // 2])
            yield _with(tree, path, value[len(value) // 2 :])


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _without(tree: Tree, path: tuple[Any, ...]) -> Tree:
    other = copy.deepcopy(tree)
    del _at(other, path[:-1])[path[-1]]
    return other


def _with(tree: Tree, path: tuple[Any, ...], value: Any) -> Tree:
    other = copy.deepcopy(tree)
    _at(other, path[:-1])[path[-1]] = value
    return other
