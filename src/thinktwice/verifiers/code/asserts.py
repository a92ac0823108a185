"""Reading what an assert expects: a call that the sandbox makes, and a value that stays outside."""

from __future__ import annotations

import ast
import builtins
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from thinktwice.errors import is_number
from thinktwice.verifiers.code.expectation import Expectation, Tolerance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_OPERATORS: Final[Mapping[type[ast.cmpop], tuple[str, str]]] = {
    ast.Eq: ("==", "=="),
    ast.NotEq: ("!=", "!="),
    ast.Is: ("==", "=="),
    ast.IsNot: ("!=", "!="),
    ast.Lt: ("<", ">"),
    ast.LtE: ("<=", ">="),
    ast.Gt: (">", "<"),
    ast.GtE: (">=", "<="),
    ast.In: ("in", ""),
    ast.NotIn: ("not in", ""),
}
"""By node: the operator with the call on the left, and with the call on the right."""

_BUILTINS: Final = frozenset(dir(builtins))
_APPROX: Final = frozenset({"approx", "pytest.approx"})
_CLOSE: Final = frozenset({"isclose", "math.isclose"})
_PYTEST: Final = Tolerance(relative=1e-6, absolute=1e-12)
_MATH: Final = Tolerance(relative=1e-9)
_NAMES: Final = {"rel": "relative", "rel_tol": "relative", "abs": "absolute", "abs_tol": "absolute"}


class Reading(NamedTuple):
    """One assert, taken apart.

    Attributes:
        expression: What the sandbox evaluates.
        expected: What that must give.
    """

    expression: str
    expected: Expectation


def readings(test: ast.expr) -> list[Reading] | None:
    """What the condition of an assert comes to; None if it has to be evaluated in the sandbox.

    Parts that are joined by `and` are read one by one. A condition of literals alone, such as
    `assert True, "done"`, tests nothing and gives an empty list.
    """
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        parts = [readings(part) for part in test.values]
        return None if None in parts else [each for part in parts for each in part or ()]
    if not any(isinstance(node, ast.Name | ast.Call) for node in ast.walk(test)):
        return []
    read = _compared(test) or _close(test) or _truth(test)
    return [read] if read else None


def _compared(test: ast.expr) -> Reading | None:
    """`f(x) == 3`, `3 == f(x)`, `f(x) == approx(3)`, `abs(f(x) - 3) < 0.1`."""
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    left, right = test.left, test.comparators[0]
    forward, backward = _OPERATORS[type(test.ops[0])]
    for call, value, operator in ((left, right, forward), (right, left, backward)):
        expected = _expected(value, operator) if operator else None
        if expected is None or not _calls(call):
            continue
        near = _distance(call, expected)
        if near is not None:
            return near
        guessable = isinstance(expected.value, bool) and _is_builtin(call)
        return None if guessable else Reading(ast.unparse(call), expected)
    return None


def _expected(node: ast.expr, operator: str) -> Expectation | None:
    try:
        return Expectation(value=value_of(node), operator=operator)
    except ValueError:
        pass
    if not isinstance(node, ast.Call) or ast.unparse(node.func) not in _APPROX or not node.args:
        return None
    return _approximate(node.args[0], node, _PYTEST, operator)


def _approximate(
    value: ast.expr, call: ast.Call, usual: Tolerance, operator: str = "=="
) -> Expectation | None:
    """The number and the tolerance of a call of `approx` or `isclose`."""
    try:
        number = _floats(value_of(value))
        given = {_NAMES[each.arg or ""]: value_of(each.value) for each in call.keywords}
        told = {name: float(cast("float", each)) for name, each in given.items()}
    except (ValueError, KeyError, TypeError):
        return None
    tolerance = Tolerance(**told) if "absolute" in told else replace(usual, **told)
    return Expectation(value=number, operator=operator, tolerance=tolerance)


def _floats(value: object) -> object:
    """Numbers as floats, which a tolerance is for."""
    if type(value) in {list, tuple}:
        items = [_floats(each) for each in cast("Sequence[object]", value)]
        return items if isinstance(value, list) else tuple(items)
    return float(value) if is_number(value) else value


def _distance(call: ast.expr, expected: Expectation) -> Reading | None:
    """`abs(f(x) - 3) < 0.1`: f(x) is about 3."""
    allowed = expected.value
    if expected.operator not in {"<", "<="} or not is_number(allowed):
        return None
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != "abs" or len(call.args) != 1:
        return None
    inner = call.args[0]
    if not isinstance(inner, ast.BinOp) or not isinstance(inner.op, ast.Sub):
        return None
    for got, value in ((inner.left, inner.right), (inner.right, inner.left)):
        number = _number(value)
        if number is not None and _calls(got):
            about = Expectation(value=number, tolerance=Tolerance(absolute=float(allowed)))
            return Reading(ast.unparse(got), about)
    return None


def _number(node: ast.expr) -> float | None:
    try:
        number = value_of(node)
    except ValueError:
        return None
    return float(number) if is_number(number) else None


def _close(test: ast.expr) -> Reading | None:
    """`math.isclose(f(x), 3)`."""
    if not isinstance(test, ast.Call) or ast.unparse(test.func) not in _CLOSE:
        return None
    if len(test.args) != 2 or not _calls(test.args[0]):  # noqa: PLR2004 - got and expected
        return None
    expected = _approximate(test.args[1], test, _MATH)
    return Reading(ast.unparse(test.args[0]), expected) if expected else None


def _truth(test: ast.expr) -> Reading | None:
    """`f(x)` and `not f(x)`; what a builtin makes of it could be forged by redefining it."""
    negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    call = test.operand if isinstance(test, ast.UnaryOp) and negated else test
    if not isinstance(call, ast.Call) or not _calls(call) or _is_builtin(call):
        return None
    return Reading(ast.unparse(call), Expectation(operator="false" if negated else "true"))


def _calls(node: ast.expr) -> bool:
    """Whether it calls something of the program."""
    return any(name not in _BUILTINS for name in called_in(node))


def called_in(node: ast.AST) -> Iterator[str]:
    """Names of the functions that it calls; for a method, the name of the method."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            if isinstance(each.func, ast.Name):
                yield each.func.id
            elif isinstance(each.func, ast.Attribute):
                yield each.func.attr


def _is_builtin(node: ast.expr) -> bool:
    """What gives its value is a builtin, an operator or a method, and not the program's own."""
    return not isinstance(node, ast.Call) or (
        isinstance(node.func, ast.Name) and node.func.id in _BUILTINS
    )


def value_of(node: ast.expr) -> object:
    """The value of a literal; also of `set()`, `frozenset(...)` and `float("inf")`.

    Raises:
        ValueError: It is none.
    """
    try:
        return ast.literal_eval(node)
    except (TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError("no literal") from error
    except ValueError:
        maker = _MAKERS.get(ast.unparse(node.func)) if isinstance(node, ast.Call) else None
        if maker is None or not isinstance(node, ast.Call) or node.keywords:
            raise
        try:
            return maker(*map(value_of, node.args))
        except TypeError as error:
            raise ValueError("no literal") from error


_MAKERS: Final[Mapping[str, Callable[..., object]]] = {
    each.__name__: each for each in (set, frozenset, tuple, list, dict, float)
}
