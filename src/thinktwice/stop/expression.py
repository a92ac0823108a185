"""Stop rules from text, as on a command line: names, literals, `|` and `&`, and no code."""

from __future__ import annotations

import ast
from inspect import signature
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError
from thinktwice.stop.published import AdaptiveConsistency, EarlyStopping
from thinktwice.stop.rules import After, AtMost, Certain, GoodEnough, Lead, Quorum, Settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.stop.algebra import Stop

_RULES: Final = {
    rule.__name__: rule
    for rule in (
        *(AdaptiveConsistency, After, AtMost, Certain, EarlyStopping),
        *(GoodEnough, Lead, Quorum, Settled),
    )
}
_LONGEST: Final = 500
_HOW: Final = "write it as Lead(3) | Settled(risk=0.05)"


def parse_stop(text: str) -> Stop:
    """Read a rule as its `repr` shows it. Nothing is evaluated.

    Args:
        text: Calls of the rules of `thinktwice.stop` with literals, joined by `|` and `&`.

    Raises:
        UsageError: It is anything else, or the arguments are not the rule's.
    """
    if len(text) > _LONGEST:
        raise UsageError("stop", text, f"it is longer than {_LONGEST} characters")
    try:
        return _rule(ast.parse(text.strip(), mode="eval").body, text)
    except UsageError:
        raise
    except SyntaxError as error:
        raise UsageError("stop", text, f"{error.msg}; {_HOW}") from None
    except (ValueError, RecursionError, MemoryError):
        raise UsageError("stop", text, _HOW) from None


def _rule(node: ast.expr, text: str) -> Stop:
    match node:
        case ast.BinOp(left, ast.BitOr(), right):
            return _rule(left, text) | _rule(right, text)
        case ast.BinOp(left, ast.BitAnd(), right):
            return _rule(left, text) & _rule(right, text)
        case ast.BinOp() | ast.BoolOp():
            raise UsageError("stop", text, f"rules are joined by | and &; {_HOW}")
        case ast.Call(ast.Name(name)) | ast.Name(name) if name not in _RULES:
            raise UsageError("stop", text, f"no rule is called {name}, but {', '.join(_RULES)}")
        case ast.Call(ast.Name(name), positional, named):
            return _called(name, positional, named, text)
        case ast.Name(name):
            raise UsageError("stop", text, f"without parentheses; write it as {_shape(name)}")
        case _:
            raise UsageError("stop", text, f"that is no rule; {_HOW}")


def _called(
    name: str, positional: Sequence[ast.expr], named: Sequence[ast.keyword], text: str
) -> Stop:
    rule, how = _RULES[name], f"write it as {_shape(name)}"
    if len({each.arg for each in named}) < len(named):
        raise UsageError("stop", text, f"{name}: a setting is given twice; {how}")
    try:
        settings = {each.arg or "**": ast.literal_eval(each.value) for each in named}
        bound = signature(rule).bind(*map(ast.literal_eval, positional), **settings)
    except TypeError as error:
        raise UsageError("stop", text, f"{name}: {error}; {how}") from None
    except ValueError:
        raise UsageError("stop", text, f"{name}: settings are numbers; {how}") from None
    try:
        return rule(*bound.args, **bound.kwargs)
    except UsageError as error:
        raise UsageError("stop", text, f"in {name}, {error}") from None


def _shape(name: str) -> str:
    return f"{name}({', '.join(f'{each}=...' for each in signature(_RULES[name]).parameters)})"
