"""Reads and computes an expression, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError
from thinktwice.verifiers.calculator import arithmetic, functions
from thinktwice.verifiers.calculator.plain import plain
from thinktwice.verifiers.calculator.sizes import CalculationError, sized
from thinktwice.verifiers.calculator.tokens import Token, number, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from fractions import Fraction

LONGEST: Final = 2000
"""Characters of an expression."""
DEEPEST: Final = 100
"""Brackets, powers and functions within each other."""

_BINARY: Final[Mapping[str, tuple[int, Callable[[Fraction, Fraction], Fraction]]]] = {
    "+": (1, arithmetic.add),
    "-": (1, arithmetic.subtract),
    "*": (2, arithmetic.multiply),
    "/": (2, arithmetic.divide),
    "//": (2, arithmetic.floor_divide),
    "mod": (2, arithmetic.modulo),
    "^": (4, arithmetic.power),
}
_SIGN: Final = 3
"""A sign binds more than a product and less than a power: -2^2 is -4."""
_PAIRS: Final[Mapping[str, str]] = {"(": ")", "[": "]", "{": "}"}


def calculate(expression: str) -> Fraction:
    """Compute an arithmetic expression exactly.

    Knows + - * / // % ! and brackets, ^ and ** (both are powers), "15% of 80", "17 times 23",
    numbers as in 1,234.5 and 1e3, the LaTeX and Unicode notations for all this, and the functions
    abs, binom, cbrt, ceil, comb, exp, factorial, floor, frac, gcd, lcm, ln, log (natural, or of the
    base that is its second argument), log10, log2, max, mean, min, perm, root (its degree first),
    round (halves away from 0), sqrt and sum. A root or logarithm that is no fraction is given to 50
    digits.

    Nothing in it is run as code, and the size of each result is known before it is computed: it
    answers or refuses within milliseconds.

    Args:
        expression: At most 2,000 characters, and 100 brackets deep.

    Raises:
        CalculationError: It cannot be read, has no value (a division by zero, say), or a result
            would have more than 10,000 bits.
        UsageError: It is no text.
    """
    if not isinstance(expression, str):
        raise UsageError("expression", expression, "give a text such as '17 * 23'")
    if len(expression) > LONGEST:
        raise CalculationError(f"an expression of more than {LONGEST:,} characters")
    return evaluate(arranged(tokens_of(plain(expression).text)))


def evaluate(tokens: Sequence[Token]) -> Fraction:
    """Compute tokens that are one expression.

    Raises:
        CalculationError: They are none, or it has no value or one that is too large.
    """
    reader = _Reader(tokens)
    value = reader.expression(1)
    if reader.at < len(tokens):
        raise CalculationError(f"cannot read {reader.here} there")
    return value


def arranged(tokens: Iterable[Token]) -> list[Token]:
    """Tokens with what their neighbours tell: commas between arguments, the "of" of a share."""
    found: list[Token] = []
    inside: list[bool] = []  # for each open bracket: does it hold the arguments of a function?
    for token in tokens:
        if token.kind == "open":
            inside.append(bool(found) and found[-1].kind == "function")
        elif token.kind == "close" and inside:
            inside.pop()
        if inside and inside[-1] and "," in token.text and token.kind in {"number", "odd"}:
            found += _arguments(token)
        elif token.text == "of" and _is_share(found):
            found.append(token._replace(kind="operator", text="*"))
        else:
            found.append(token)
    return found


def _arguments(token: Token) -> list[Token]:
    found: list[Token] = []
    at = token.start
    for part in token.text.split(","):
        if found:
            found.append(Token("comma", ",", at - 1, at))
        found.append(number(part, at, at + len(part)))
        at += len(part) + 1
    return found


def _is_share(before: Sequence[Token]) -> bool:
    """15%, or 3/4."""
    kinds = [(token.kind, token.text) for token in before[-2:]]
    fraction = len(kinds) == 2 and kinds[0] == ("operator", "/") and kinds[1][0] == "number"  # noqa: PLR2004
    return bool(kinds) and (kinds[-1][0] == "percent" or fraction)


class _Reader:
    """Precedence climbing over tokens."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    @property
    def here(self) -> str:
        """What comes next, for an error."""
        return repr(self.tokens[self.at].text[:20]) if self.at < len(self.tokens) else "the end"

    def expression(self, least: int) -> Fraction:
        """What binds at least so much."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise CalculationError(f"more than {DEEPEST} levels within each other")
        value = self.signed(least)
        while (sign := self.sign()) is not None:
            binds, operation = _BINARY[sign]
            if binds < least:
                break
            self.at += 0 if self.joined() else 1
            value = operation(value, self.expression(binds if sign == "^" else binds + 1))
        self.depth -= 1
        return value

    def sign(self) -> str | None:
        """The operator that comes next; a missing one between factors that touch is a product."""
        token = self.peek()
        if token is None:
            return None
        if token.kind == "operator":
            return token.text
        if token.kind == "percent" or (token.kind == "word" and token.text == "mod"):
            return "mod"
        return "*" if self.joined() else None

    def joined(self) -> bool:
        """Whether a factor follows without a sign, as in 2(3 + 4)."""
        token = self.peek()
        if token is None or token.kind not in {"open", "function"} or self.at == 0:
            return False
        before = self.tokens[self.at - 1]
        ambiguous = token.text == "frac" or any(
            each.text in {"/", "^"} for each in self.tokens[max(0, self.at - 2) : self.at]
        )
        return before.end == token.start and not ambiguous

    def signed(self, least: int) -> Fraction:
        """A factor with its signs."""
        negative = signed = False
        while (token := self.peek()) is not None and token.text in {"-", "+"}:
            negative ^= token.text == "-"
            signed = True
            self.at += 1
        if not signed:
            return self.raised()
        value = self.expression(max(least, _SIGN))
        return -value if negative else value

    def raised(self) -> Fraction:
        """A number, bracket or function, with the signs behind it."""
        value = self.primary()
        while (token := self.peek()) is not None:
            if token.kind == "factorial":
                value = functions.factorial(value)
            elif token.kind == "percent" and not self.begins(self.at + 1):
                value /= 100
            else:
                break
            self.at += 1
        return value

    def primary(self) -> Fraction:
        """A number, bracket or function."""
        token = self.peek()
        if token is None:
            raise CalculationError("it ends too early")
        if token.kind == "number":
            self.at += 1
            return sized(token.value)
        if token.kind == "open":
            (value,) = self.bracket(one=True)
            return value
        if token.kind == "function":
            self.at += 1
            return self.function(token.text)
        raise CalculationError(f"cannot read {self.here} there")

    def function(self, name: str) -> Fraction:
        """A function and its arguments, in one bracket or in several."""
        token = self.peek()
        if name == "sqrt" and token is not None and token.kind == "number":
            self.at += 1
            return functions.sqrt(sized(token.value))
        if name == "sqrt" and token is not None and token.text == "[":
            (degree,), (value,) = self.bracket(one=True), self.bracket(one=True)
            return functions.root(degree, value)
        arguments = self.bracket()
        if name in {"frac", "binom"} and token is not None and token.text == "{":
            arguments += self.bracket()
        return functions.apply(name, arguments)

    def bracket(self, *, one: bool = False) -> list[Fraction]:
        """The values within a bracket."""
        token = self.peek()
        if token is None or token.kind != "open":
            raise CalculationError(f"a bracket is missing before {self.here}")
        self.at += 1
        values = [self.expression(1)]
        while not one and (comma := self.peek()) is not None and comma.kind == "comma":
            self.at += 1
            values.append(self.expression(1))
        closing = self.peek()
        if closing is None or closing.text != _PAIRS[token.text]:
            raise CalculationError(f"{_PAIRS[token.text]!r} is missing before {self.here}")
        self.at += 1
        return values

    def begins(self, at: int) -> bool:
        """Whether an operand begins there."""
        return at < len(self.tokens) and self.tokens[at].kind in {"number", "open", "function"}

    def peek(self) -> Token | None:
        """What comes next."""
        return self.tokens[self.at] if self.at < len(self.tokens) else None
