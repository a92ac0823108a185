"""The body of a test: asserts that can be compared outside, and what the sandbox has to run."""

from __future__ import annotations

import ast
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

from thinktwice.verifiers.code.asserts import readings, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thinktwice.verifiers.code.asserts import Reading

S = TypeVar("S", bound=ast.stmt)

Names = dict[str, ast.expr]
"""Literals by the name that they are bound to."""


@dataclass(frozen=True)
class Body:
    """A test, taken apart.

    Attributes:
        readings: Asserts whose expected value stays outside.
        rest: Statements that only the sandbox can run, with what they need; empty if there are
            none.
    """

    readings: tuple[Reading, ...]
    rest: tuple[ast.stmt, ...]


def body_of(statements: Sequence[ast.stmt], names: Mapping[str, ast.expr] | None = None) -> Body:
    """Take a test apart.

    Asserts are taken out up to the first statement that may change what a later one sees. Names
    that are bound to literals are replaced by these.

    Args:
        statements: Of the test.
        names: Values of its parameters.
    """
    reader = _Reader(dict(names or {}), rest=[_assignment(*each) for each in (names or {}).items()])
    for position, statement in enumerate(statements):
        if not reader.read(statement, statements[position + 1 :]):
            reader.leave(statements[position:])
            break
    return Body(tuple(reader.readings), tuple(reader.rest) if reader.needed else ())


@dataclass
class _Reader:
    names: Names
    readings: list[Reading] = field(default_factory=list["Reading"])
    rest: list[ast.stmt] = field(default_factory=list[ast.stmt])
    needed: bool = False

    def read(self, statement: ast.stmt, later: Sequence[ast.stmt]) -> bool:
        """Take in one statement; False if nothing behind it can be taken out."""
        if isinstance(statement, ast.Assert):
            return self.read_assert(statement)
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass) or _is_idle(statement):
            self.leave([statement], needed=False)
            return True
        return self.bind(statement, later)

    def read_assert(self, statement: ast.Assert) -> bool:
        found = readings(_substituted(statement, self.names).test)
        if found == [] and any(isinstance(each, ast.Name) for each in ast.walk(statement.test)):
            found = None  # about a name that a call may have changed
        if any(isinstance(each, ast.NamedExpr) for each in ast.walk(statement)):
            return False
        if found is None:
            self.leave([statement])
        else:
            self.readings += found
        return True

    def bind(self, statement: ast.stmt, later: Sequence[ast.stmt]) -> bool:
        """Remember a name for a literal, unless the test could change what it stands for."""
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return False
        target = statement.targets[0]
        try:
            value = value_of(statement.value)
        except ValueError:
            return False
        if not isinstance(target, ast.Name):
            return False
        uses = [n for s in later for n in ast.walk(s) if isinstance(n, ast.Name)]
        if isinstance(value, list | dict | set) and [n.id for n in uses].count(target.id) > 1:
            return False
        self.leave([statement], needed=False)
        self.names[target.id] = statement.value
        return True

    def leave(self, statements: Sequence[ast.stmt], *, needed: bool = True) -> None:
        """Leave statements to the sandbox."""
        self.rest += statements
        self.needed |= needed


def _is_idle(statement: ast.stmt) -> bool:
    """A docstring, or a name that stands alone: it does nothing."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant | ast.Name)


def _assignment(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value, lineno=0)


class _Substitution(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, ast.expr]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        known = self.names.get(node.id) if isinstance(node.ctx, ast.Load) else None
        return known if known is not None else node


def _substituted(statement: S, names: Mapping[str, ast.expr]) -> S:
    """A copy with literals in place of names."""
    return cast("S", _Substitution(names).visit(deepcopy(statement)))
