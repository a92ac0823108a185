"""The names, the quotations and the words of a text that carry its meaning."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from thinktwice.verifiers.grounding.quantities import UNIT_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = re.compile(r"[^\W_](?:[\w'\u2019.&/+-]{0,60}[\w+])?")
_CODE = re.compile(r"`([^`\n]{1,200})`")
_QUOTATION = re.compile(
    '"([^"\n]{1,1000})"|\u201c([^\u201c\u201d\n]{1,1000})\u201d|\u00ab([^\u00ab\u00bb\n]{1,1000})\u00bb'
)
_GAP = re.compile(r"\[?(?:\.\.\.|\u2026)\]?")
_FEWEST_WORDS: Final = 3
"""Words of a quotation; fewer are a term, or a title."""
_STRAIGHT = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "}
)

NEGATIONS: Final = frozenset({"cannot", "neither", "never", "no", "none", "nor", "not", "without"})
_PLAIN_TEXT: Final = (
    "a about above according add additionally after again all almost already also although "
    "always am an and another answer answers any approximately are around as ask at based be "
    "because been before being below besides between both but by call can check click conclusion "
    "consequently context could currently did do document documents does doing down due during "
    "each either else even every few finally first for from further furthermore get gets given "
    "go got had has have having he hence her here hers him his how however i if in indeed "
    "instead into is it it's its itself just keep last later least less let likewise make many "
    "may me meanwhile might more moreover most much must my namely nearly next note now of off "
    "often on once one only open or other others our out over overall own passage passages per "
    "perhaps please rather result results roughly run said same says second see set several "
    "shall she should similarly since so some soon source sources states still such summary sure "
    "take text than that that's the their them then there therefore these they third this those "
    "though through thus to today together too total try two under unfortunately until up upon "
    "us use using very was we were what what's when where whereas whether which while who whom "
    "whose why will with within would yes yet you your"
)
_PLAIN: Final = frozenset(_PLAIN_TEXT.split())

_EMPTY: Final = _PLAIN | NEGATIONS | UNIT_WORDS


def words(text: str) -> Iterator[str]:
    """The words that carry meaning, in one form; no numbers and no units."""
    for match in _WORD.finditer(text):
        word = match[0].casefold().rstrip("\u00b2\u00b3")
        if word[:1].isalpha() and _EMPTY.isdisjoint({word, stem(word)}):
            yield stem(word)


def stem(word: str) -> str:
    """One form of singular, plural and possessive."""
    word = word.casefold().replace("\u2019", "'").removesuffix("'s").rstrip("'.")
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word  # noqa: PLR2004


def negated(text: str) -> bool:
    """It says that something is not so."""
    found = {match[0].casefold().replace("\u2019", "'") for match in _WORD.finditer(text)}
    return not found.isdisjoint(NEGATIONS) or any(word.endswith("n't") for word in found)


def names(text: str) -> list[str]:
    """What names something: capitalised words, identifiers and code.

    The first word of a sentence is capitalised anyway; it is taken for a name unless it is one of
    the common words that sentences begin with.
    """
    found = [match[0] for match in _WORD.finditer(_CODE.sub(" ", text)) if _is_name(match[0])]
    return list(dict.fromkeys([*_CODE.findall(text), *found]))


def quotations(text: str) -> list[str]:
    """What stands in quotation marks, from three words on."""
    found = ("".join(groups) for groups in _QUOTATION.findall(text))
    return [each for each in found if len(each.split()) >= _FEWEST_WORDS]


def is_quoted_in(quotation: str, text: str) -> bool:
    """A folded text has it word by word, but for case, spaces, omissions and final signs."""
    parts = (folded(part).strip(" .,;:!?") for part in _GAP.split(quotation))
    return all(part in text for part in parts)


def folded(text: str) -> str:
    """One spelling of quotes, spaces and case."""
    return " ".join(text.translate(_STRAIGHT).split()).casefold()


def _is_name(word: str) -> bool:
    if not word[0].isalpha() and not any(map(str.isalpha, word)):
        return False
    if any(map(str.isdecimal, word)):
        return word[0].isalpha() or any(map(str.isupper, word))
    if word.casefold() in _EMPTY:
        return False
    return word[0].isupper() or any(map(str.isupper, word[1:]))
