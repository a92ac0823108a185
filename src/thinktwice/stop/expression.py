"""Stop rules from text, as on a command line: names, literals, `|` and `&`, and no code."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError
from thinktwice.stop.published import AdaptiveConsistency, EarlyStopping
from thinktwice.stop.rules import After, AtMost, Certain, GoodEnough, Lead, Quorum, Settled

if TYPE_CHECKING:
    from thinktwice.stop.algebra import Stop

_RULES: Final = {
    rule.__name__: rule
    for rule in (
        *(AdaptiveConsistency, After, AtMost, Certain, EarlyStopping),
        *(GoodEnough, Lead, Quorum, Settled),
    )
}
_LONGEST: Final = 500
_HOW: Final = f"write as Lead(3) | Settled(risk=0.05), of {', '.join(_RULES)}"


def parse_stop(text: str) -> Stop:
    """Read a rule as its `repr` shows it. Nothing is evaluated.

    Args:
        text: Calls of the rules of `thinktwice.stop` with literals, joined by `|` and `&`.

    Raises:
        UsageError: It is anything else, or the arguments are not the rule's.
    """
    if len(text) > _LONGEST:
        raise UsageError("stop", text, _HOW)
    try:
        return _rule(ast.parse(text.strip(), mode="eval").body, text)
    except UsageError:
        raise
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError):
        raise UsageError("stop", text, _HOW) from None


def _rule(node: ast.expr, text: str) -> Stop:
    match node:
        case ast.BinOp(left, ast.BitOr(), right):
            return _rule(left, text) | _rule(right, text)
        case ast.BinOp(left, ast.BitAnd(), right):
            return _rule(left, text) & _rule(right, text)
        case ast.Call(ast.Name(name), positional, named) if name in _RULES:
            given = {each.arg: ast.literal_eval(each.value) for each in named if each.arg}
            if len(given) < len(named):  # `**` of something
                raise UsageError("stop", text, _HOW)
            return _RULES[name](*map(ast.literal_eval, positional), **given)
        case _:
            raise UsageError("stop", text, _HOW)
