"""Numbers, signs and words of a text, in plain, Markdown and LaTeX notation."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from thinktwice.verifiers.calculator.functions import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Kind = Literal[
    "number", "operator", "percent", "factorial", "open", "close", "comma",
    "function", "equals", "nested", "word", "break", "odd",
]  # fmt: skip
"""What a token is. A "break" ends a statement; "nested" opens or closes one inside another; "odd"
is a date, a clock time or the like, which no arithmetic goes through."""


class Token(NamedTuple):
    """A piece of a text.

    Attributes:
        kind: What it is.
        text: In one spelling for all notations: "*" for a times sign, "sqrt" for a root. Numbers
            and words are as written.
        start: Where it begins in the plain text.
        end: Where it ends.
        value: Of a number.
        places: Decimals that a number shows.
        money: A currency sign stands before it.
    """

    kind: Kind
    text: str
    start: int
    end: int
    value: Fraction = Fraction(0)
    places: int = 0
    money: bool = False


_SAYS: Final = r"""
    is[ ]equal[ ]to | equals? | equal[ ]to | (?:is|are)[ ]the[ ]same[ ]as | adds?[ ]up[ ]to
  | (?:comes?|works?)[ ]out[ ](?:to|at) | comes?[ ]to | amounts?[ ]to | sums?[ ](?:up[ ])?to
  | totals | results?[ ]in | (?:makes?|gives?|yields?|making|giving|yielding)(?:[ ](?:us|you|me))?
  | (?:to|we|you|I)[ ]get | leaves | leaving | for[ ]a[ ]total[ ]of | is | are | was | were
  | (?:will|would)[ ]be
"""
_GRAMMAR: Final = re.compile(
    rf"""
    (?P<skip> [ ]++ | [`_$]++ | \\[$()\[\],;: ] | \\! (?!=) | & (?=[ ]?[=~\\])
      | \\(?:left|right|[bB]ig|quad|qquad|displaystyle|boxed|fbox|mathbf|textbf|bm)(?![A-Za-z]) )
  | (?P<odd> \d{{1,2}}(?P<a>[-/.])\d{{1,2}}(?P=a)(?:1[5-9]|20)\d\d(?!\d)
      | (?:1[5-9]|20)\d\d(?P<b>[-/.])\d{{1,2}}(?P=b)\d{{1,2}}(?!\d)
      | 0[xXbBoO][\da-fA-F]++ | 97[89](?:-\d{{1,7}}){{4}} | \d{{3}}-\d{{3}}-\d{{4}}(?!\d)
      | \d{{1,4}}:\d\d? (?::\d\d)? (?!\d) | [-+*/]=(?!=) )
  | (?P<number> \.?\d++(?:(?:\{{,\}}|\\,|[.,])\d++)*+ (?:[eE][+-]?\d{{1,4}}+(?![\w.]))? )
  | (?P<vulgar> [\u00bc-\u00be\u2150-\u215e] )
  | (?P<raised> \u207b?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]++ )
  | (?P<nested> <<|>> )
  | (?P<break> \n | \\\\ | \\n(?![a-z]) | [|;"?#@.] | :=? | [-=]> | <=? | >=? | !=
      | \\(?:neq?|leq?|geq?|equiv|to|implies|[rR]ightarrow)(?![A-Za-z]) )
  | (?P<equals> ={{1,3}} | ~ | \\(?:approx|simeq)(?![A-Za-z])
      | (?:,[ ]?)? (?:\b(?:which|that|this|it|and|so)[ ]){{0,2}} \b(?:{_SAYS})\b
        (?:[ ]a[ ]total[ ]of\b)? )
  | (?P<root> \u221a )
  | (?P<latex> \\(?:[dt]?frac|d?binom|sqrt|times|cdot|ast|div|ln|log|min|max|gcd)(?![A-Za-z]) )
  | (?P<percent> \\?% | per[ ]?cent\b )
  | (?P<worded> (?:multiplied|divided)[ ]by\b | (?:times|plus|minus|squared|cubed)\b
      | to[ ]the[ ]power[ ]of\b | (?<![^\W\d])[xX](?=[ ]?[\d$.\\]|[ ]\() )
  | (?P<word> \\(?:text|mathrm|mbox|textrm|textit|operatorname)[ ]?\{{[^{{}}]{{0,200}}\}}
      | \\[A-Za-z]++ | [^\W\d][\w']*+(?:-[^\W\d]++)*+ | [^\x00-\x7f] )
  | (?P<operator> (?:\\?\*){{1,2}} | // | [-+*/^] )
  | (?P<open> [(\[{{] ) | (?P<close> [)\]}}] ) | (?P<comma> , ) | (?P<factorial> ! )
  | (?P<other> . )
    """,
    re.VERBOSE,
)
_WRITTEN: Final = re.compile(
    r"(?:\d+|\d{1,3}(?:,\d{3})+)(?P<decimals>\.\d+)?(?P<e>[eE][+-]?\d+)?|(?P<bare>\.\d+)"
)
_WORDED: Final[Mapping[str, str]] = {
    "multiplied by": "*", "times": "*", "x": "*", "plus": "+", "minus": "-", "divided by": "/",
    "to the power of": "^",
}  # fmt: skip
_RAISED: Final[Mapping[str, int]] = {"squared": 2, "cubed": 3}
_LATEX: Final[Mapping[str, tuple[Kind, str]]] = {
    **dict.fromkeys(("times", "cdot", "ast"), ("operator", "*")),
    "div": ("operator", "/"),
    **dict.fromkeys(("frac", "dfrac", "tfrac"), ("function", "frac")),
    **dict.fromkeys(("binom", "dbinom"), ("function", "binom")),
}
_DIGITS: Final = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b", "0123456789-"
)
_LONGEST: Final = 3100
"""Characters of a number; more do not fit into the bits of a result."""
_SHORT: Final = 20


def tokens_of(text: str, start: int = 0, end: int | None = None) -> Iterator[Token]:
    """The tokens of a part of a plain text, in order; spaces and markup are left out."""
    money = False
    for found in _GRAMMAR.finditer(text, start, len(text) if end is None else end):
        kind = found.lastgroup or "other"
        if kind == "skip":
            money = "$" in found[0]
            continue
        for token in _READERS.get(kind, _as_it_is)(found):
            yield token._replace(money=True) if money else token
        money = False


def number(text: str, start: int, end: int) -> Token:
    """A number as written: a comma groups thousands, a point starts the decimals."""
    if text.isdigit() and len(text) < _SHORT:
        return Token("number", text, start, end, Fraction(int(text)))
    bare = text.replace("{,}", ",").replace("\\,", ",")
    written = _WRITTEN.fullmatch(bare) if len(bare) <= _LONGEST else None
    if written is None:
        return Token("odd", text, start, end)
    decimals = written["decimals"] or written["bare"] or "."
    exponent = int(written["e"][1:]) if written["e"] else 0
    try:
        value = Fraction(bare.replace(",", ""))
    except ValueError:  # more digits than the interpreter is set to read
        return Token("odd", text, start, end)
    return Token("number", text, start, end, value, max(0, len(decimals) - 1 - exponent))


def _as_it_is(found: re.Match[str]) -> Sequence[Token]:
    kind = found.lastgroup or "other"
    known: Kind = "break" if kind == "other" else kind  # pyright: ignore[reportAssignmentType]
    return (Token(known, found[0], found.start(), found.end()),)


def _number(found: re.Match[str]) -> Sequence[Token]:
    return (number(found[0], found.start(), found.end()),)


def _vulgar(found: re.Match[str]) -> Sequence[Token]:
    value = Fraction(unicodedata.numeric(found[0])).limit_denominator(10)
    return (Token("number", found[0], found.start(), found.end(), value),)


def _raised(found: re.Match[str]) -> Sequence[Token]:
    start, end = found.span()
    digits = found[0].translate(_DIGITS)
    if len(digits) > 4 or digits == "-":  # noqa: PLR2004 - no power is that high
        return (Token("odd", found[0], start, end),)
    power = Token("number", digits, start, end, Fraction(int(digits)))
    return (Token("operator", "^", start, start), power)


def _equals(found: re.Match[str]) -> Sequence[Token]:
    sign = found[0].strip()
    near = "~" in sign or sign.startswith("\\")
    text = "~" if near else "=" if "=" in sign else "is"
    return (Token("equals", text, found.start(), found.end()),)


def _root(found: re.Match[str]) -> Sequence[Token]:
    return (Token("function", "sqrt", found.start(), found.end()),)


def _latex(found: re.Match[str]) -> Sequence[Token]:
    name = found[0][1:]
    kind, text = _LATEX.get(name, ("function", name))
    return (Token(kind, text, found.start(), found.end()),)


def _percent(found: re.Match[str]) -> Sequence[Token]:
    return (Token("percent", "%", found.start(), found.end()),)


def _worded(found: re.Match[str]) -> Sequence[Token]:
    start, end = found.span()
    if found[0] in _RAISED:
        power = Token("number", found[0], start, end, Fraction(_RAISED[found[0]]))
        return (Token("operator", "^", start, start), power)
    return (Token("operator", _WORDED[found[0].lower()], start, end),)


def _word(found: re.Match[str]) -> Sequence[Token]:
    start, end = found.span()
    name = found[0].lower()
    called = name in FUNCTIONS and found.string.startswith("(", end)
    return (Token("function" if called else "word", name if called else found[0], start, end),)


def _operator(found: re.Match[str]) -> Sequence[Token]:
    """Stars that make text bold are none: a sign has an operand on both sides."""
    start, end = found.span()
    sign = found[0].replace("\\", "")
    if "*" in sign:
        text = found.string
        before, after = text[start - 1 : start], text[end : end + 1]
        lopsided = (before == " ") != (after == " ")
        if sign == "**" and lopsided:
            return ()
        if before in {"", "\n"} or not after or not _operand_begins(text, end):
            return ()
    return (Token("operator", "^" if sign == "**" else sign, start, end),)


def _operand_begins(text: str, place: int) -> bool:
    following = text[place : place + 2].lstrip(" ")[:1]
    return following.isalnum() or following in set("(.-+$[\\{\u221a")


def _bracket(found: re.Match[str]) -> Sequence[Token]:
    kind: Kind = "open" if found[0] in "([{" else "close"
    return (Token(kind, found[0], found.start(), found.end()),)


_READERS: Final[Mapping[str, Callable[[re.Match[str]], Sequence[Token]]]] = {
    "number": _number,
    "vulgar": _vulgar,
    "raised": _raised,
    "equals": _equals,
    "root": _root,
    "latex": _latex,
    "percent": _percent,
    "worded": _worded,
    "word": _word,
    "operator": _operator,
    "open": _bracket,
    "close": _bracket,
}
