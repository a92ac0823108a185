"""Tests that import the program by a name of its file, which has none here."""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PYTEST: Final = "pytest"


def without_program_imports(tree: ast.Module) -> ast.Module:
    """Read `import solution` and `solution.add(1)` as `add(1)`, which the program has.

    A module that is not installed here is taken for the program.

    Raises:
        UsageError: It is imported by a dotted name, and not given another.
    """
    programs = dict(_programs(tree))
    return _Unqualified(programs).visit(tree) if programs else tree


def _programs(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """By the name in the tests, what is imported that is not there."""
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.Import):
            continue
        for each in statement.names:
            top = each.name.partition(".")[0]
            if top == _PYTEST or top in sys.stdlib_module_names or find_spec(top) is not None:
                continue
            if each.asname is None and "." in each.name:
                remedy = f"write `from {each.name} import ...` for what the program defines"
                raise UsageError("tests", f"import {each.name}", remedy)
            yield each.asname or each.name, each.name


class _Unqualified(ast.NodeTransformer):
    def __init__(self, programs: dict[str, str]) -> None:
        self._programs = programs

    def visit_Import(self, node: ast.Import) -> ast.Import | ast.Pass:
        node.names = [each for each in node.names if each.name not in self._programs.values()]
        return node if node.names else ast.Pass()

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in self._programs:
            return ast.copy_location(ast.Name(node.attr, node.ctx), node)
        return node
