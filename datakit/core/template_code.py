"""Templates as Python code that counts its rounds and measures what it makes."""

# The names of the methods are those that Jinja calls.
# ruff: noqa: N802

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, operators

_TEMPLATE = 1000
"""Characters that take as long as a template that is begun."""
_NODES = 50
"""Parts of a loop's body that count for one round."""


class CountingCode(CodeGenerator):
    """Compiles templates with a count at the head of what can run again, and measures what is made."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        started = nodes.EnvironmentAttribute(f"spend({_TEMPLATE})")
        node.body[:0] = [*_counts(node), nodes.ExprStmt(started, lineno=node.lineno)]
        super().visit_Template(node, frame)

    def visit_Macro(self, node: nodes.Macro, frame: Frame) -> None:
        node.body[:0] = _counts(node)
        super().visit_Macro(node, frame)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        node.body[:0] = _counts(node)
        if node.test is not None:
            node.test = nodes.And(nodes.EnvironmentAttribute("count()"), node.test, lineno=node.lineno)
        super().visit_For(node, frame)

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:
        if isinstance(node.value, float) and not isfinite(node.value):
            self.fail("a number is too large", node.lineno)
        super().visit_Const(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.concat(map(str, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write(")))")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        self._measured(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        self._measured(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        is_value = node.ctx == "load"
        self._measured(super().visit_Tuple, node, frame) if is_value else super().visit_Tuple(node, frame)

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        is_copy = isinstance(node.arg, nodes.Slice)
        self._measured(super().visit_Getitem, node, frame) if is_copy else super().visit_Getitem(node, frame)

    def visit_Operand(self, node: nodes.Operand, frame: Frame) -> None:
        """The right side of a comparison is gone through."""
        self.write(f" {operators[node.op]} ")
        is_short = isinstance(node.expr, nodes.Const)
        self.visit(node.expr, frame) if is_short else self._measured(self.visit, node.expr, frame, "scanned")

    def _measured(
        self, visit: Callable[[Any, Frame], None], node: nodes.Node, frame: Frame, how: str = "measured"
    ) -> None:
        self.write(f"environment.{how}(")
        visit(node, frame)
        self.write(")")


def _counts(node: nodes.Node) -> list[nodes.Node]:
    """A count, and more for a long body."""
    rounds = 1 + sum(1 for _ in node.find_all(nodes.Node)) // _NODES
    count = nodes.EnvironmentAttribute("count()")
    return [nodes.ExprStmt(count, lineno=node.lineno) for _ in range(rounds)]
