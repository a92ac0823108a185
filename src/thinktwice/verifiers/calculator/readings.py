"""What a writer may have meant by an expression: its value under each reading."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from thinktwice.verifiers.calculator.expression import evaluate
from thinktwice.verifiers.calculator.sizes import CalculationError
from thinktwice.verifiers.calculator.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_OPEN: Final = Token("open", "(", 0, 0)
_CLOSE: Final = Token("close", ")", 0, 0)
_TIMES: Final = Token("operator", "*", 0, 0)
_ONE: Final = Token("number", "1", 0, 0, Fraction(1))


def value_of(tokens: Sequence[Token]) -> Fraction | None:
    """The value as it stands; None if it cannot be computed."""
    try:
        return evaluate(tokens)
    except CalculationError:
        return None


def other_values(tokens: Sequence[Token]) -> Iterator[Fraction]:
    """Values under other readings than the plain one."""
    return _all(_readings(tokens))


def lenient_values(tokens: Sequence[Token], rounded: Mapping[str, Fraction]) -> Iterator[Fraction]:
    """Values that a writer may have computed: of numbers before they were rounded, and the like.

    That is 0.33 for a third, the result of a line before, 20% of 50 as 20 * 50.

    Args:
        tokens: The expression.
        rounded: Numbers as written that are rounded, each with what it stands for.
    """
    return _all(_lenient(tokens, rounded))


def _all(readings: Iterable[Sequence[Token]]) -> Iterator[Fraction]:
    for reading in readings:
        value = value_of(reading)
        if value is not None:
            yield value


def _readings(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    texts = {token.text for token in tokens}
    if "%" in texts:
        yield _relative(tokens)
        yield from _share_of_all(tokens)
    if "/" in texts:
        yield _fractions(tokens)
    if "log" in texts:
        yield from map(list, logarithms(tokens).values())
    if tokens[0].text == "-":
        yield tokens[1:]


def logarithms(tokens: Sequence[Token]) -> Mapping[str, Sequence[Token]]:
    """An expression whose logs name no base, to each usual base, e, 10 and 2; else nothing."""
    bare = _without_base(tokens)
    if not bare:
        return {}
    return {
        base: [t._replace(text=name) if at in bare else t for at, t in enumerate(tokens)]
        for base, name in (("e", "ln"), ("10", "log10"), ("2", "log2"))
    }


def _without_base(tokens: Sequence[Token]) -> set[int]:
    """Where each log stands whose bracket holds one argument."""
    bare: set[int] = set()
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token.kind == "open":
            opened.append(place - 1)
            bare |= {place - 1} if place and tokens[place - 1].text == "log" else set()
        elif token.kind == "close" and opened:
            opened.pop()
        elif token.kind == "comma" and opened:
            bare.discard(opened[-1])
    return bare


def _relative(tokens: Sequence[Token]) -> list[Token]:
    """100 + 20% as a fifth more than 100."""
    found: list[Token] = []
    depth = at = 0
    while at < len(tokens):
        token = tokens[at]
        depth += (token.kind == "open") - (token.kind == "close")
        change = tokens[at : at + 4]
        if not depth and found and _is_change(change):
            found = [_OPEN, *found, _CLOSE, _TIMES, _OPEN, _ONE, *change[:3], _CLOSE]
            at += 3
        else:
            found.append(token)
            at += 1
    return found


def _is_change(tokens: Sequence[Token]) -> bool:
    """A sign, a number and a per cent sign, then another sign or nothing."""
    kinds = [token.kind for token in tokens]
    ends = len(tokens) == 3 or tokens[-1].text in {"+", "-"}  # noqa: PLR2004 - three that count
    return kinds[:3] == ["operator", "number", "percent"] and tokens[0].text in {"+", "-"} and ends


def _share_of_all(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """20% of 60 + 40 as 20% of the sum, or as the sum alone."""
    if [token.text for token in tokens[1:3]] == ["%", "*"] and len(tokens) > 4:  # noqa: PLR2004
        rest = tokens[3:]
        yield [*tokens[:3], _OPEN, *rest, _CLOSE]
        yield rest


def _fractions(tokens: Sequence[Token]) -> list[Token]:
    """12 / 2/5 as twelve over two fifths: what touches belongs together."""
    found: list[Token] = []
    for token in tokens:
        found.append(token)
        parts = found[-3:]
        if len(parts) < 3 or parts[1].text != "/" or not parts[2].value:  # noqa: PLR2004
            continue
        over, sign, under = parts
        touching = over.end == sign.start and sign.end == under.start
        if touching and over.kind == under.kind == "number":
            found[-3:] = [over._replace(value=over.value / under.value)]
    return found


def _lenient(tokens: Sequence[Token], rounded: Mapping[str, Fraction]) -> Iterator[Sequence[Token]]:
    texts = {token.text for token in tokens}
    if "%" in texts:
        yield [token for token in tokens if token.kind != "percent"]
    if texts & rounded.keys():
        yield [token._replace(value=rounded.get(token.text, token.value)) for token in tokens]
    if any(token.places > 1 for token in tokens):
        yield [token._replace(value=_sixths(token)) for token in tokens]


def _sixths(token: Token) -> Fraction:
    """The thirds and sixths that a number of two or more decimals may stand for."""
    near = Fraction(round(token.value * 6), 6)
    stands = token.places > 1 and abs(near - token.value) < Fraction(1, 10**token.places)
    return near if stands else token.value
