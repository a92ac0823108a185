"""Find out what a user asks for: a question of a family, a draft to check, a draft to revise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .countdown import read_countdown
from .price import NAMES, read_price_list
from .problems import final_answer
from .skills import UNNAMED, named_line

REFUSAL = "I can only do arithmetic."
"""The whole reply to anything that holds no expression."""

LONGEST = 20
"""Most characters of an expression: longer ones leave no room for the working."""

_SIGNS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u2212": "-", "\u2013": "-"})
_CANDIDATE = re.compile(r"[\d(](?:[\d \t()+*/^-]|[.,](?=\d))*")
_PLAIN = re.compile(r"\d{1,4}(?:[-+*]\d{1,4})+")


def expression_in(text: str) -> str | None:
    """Return the first sum of products in `text`, without blanks, or None.

    ``"37*8+56"``, ``"What is 37 * 8 + 56?"`` and ``"Q: 37*8+56="`` all give ``"37*8+56"``. An
    expression the model was never taught to read (brackets, division, decimals, long ones) gives
    None rather than the part of it that could be read.

    Args:
        text: Anything.
    """
    for candidate in _CANDIDATE.finditer(text.translate(_SIGNS)):
        expression = re.sub(r"\s+", "", candidate[0].rstrip(" \t("))
        if re.search(r"\d\D+\d", expression) is None or re.search(r"\d\s+\d", candidate[0]):
            continue
        if len(expression) <= LONGEST and _PLAIN.fullmatch(expression):
            return expression
        if re.search(r"[+*/^]", expression):
            return None
    return None


# ---- all families --------------------------------------------------------------------------------

_NAME = f"({'|'.join(NAMES)})s?"
_ROW = re.compile(rf"\b{_NAME}\b(?:\s+(?:costs?|is|are|at))?\s*[:=@]?\s*\$?([1-9]\d)\b")
_ITEM = re.compile(rf"(?<![\d.])([2-9])\s*(?:x\s*|pieces? of\s+)?{_NAME}\b")
_LIST = r"(\d+(?:(?:\s*,\s*|\s+)(?:and\s+)?\d+){2,3})"
_COUNTDOWNS = (
    re.compile(rf"{_LIST}\s*->\s*(\d+)"),
    re.compile(rf"(?:use|using|with|from|numbers?)\b\D{{0,20}}?{_LIST}\D{{0,40}}?\b"
               r"(?:make|reach|get|target|equals?)\b\D{0,20}?(\d+)"),
    re.compile(r"(?:make|reach|get|target)\b\D{0,20}?(?P<target>\d+)\D{0,40}?\b"
               rf"(?:use|using|with|from|out of|numbers?)\b\D{{0,20}}?(?P<numbers>{_LIST})"),
)  # fmt: skip


def question_in(text: str) -> str | None:
    """Return the first question of any family in `text`, in the form that a model reads, or None.

    ``"Prices: fig 12, pear 34, plum 56. What do 3 pears and 2 plums cost?"`` gives
    ``"fig 12 pear 34 plum 56:3 pear+2 plum"``; ``"Use 6, 25, 3 and 100 to make 175."`` gives
    ``"6 25 3 100->175"``; the rest is as for `expression_in`.

    Args:
        text: Anything.
    """
    said = text.lower()
    return _price_list_in(said) or _countdown_in(said) or expression_in(text)


def _price_list_in(text: str) -> str | None:
    rows, items = _ROW.findall(text), _ITEM.findall(text)
    if not 3 <= len(rows) <= 4 or not 2 <= len(items) <= 3:
        return None
    prices = " ".join(f"{name} {price}" for name, price in rows)
    question = f"{prices}:" + "+".join(f"{count} {name}" for count, name in items)
    return question if read_price_list(question) else None


def _countdown_in(text: str) -> str | None:
    for pattern in _COUNTDOWNS:
        if found := pattern.search(text):
            named = found.groupdict()
            numbers, target = (named["numbers"], named["target"]) if named else found.groups()[:2]
            question = f"{' '.join(re.findall(r'[0-9]+', numbers))}->{target}"
            return question if _fits(question) else None
    return None


def _fits(question: str) -> bool:
    asked = read_countdown(question)
    return asked is not None and max(*asked[0], asked[1]) < 1000


# ---- drafts --------------------------------------------------------------------------------------

Kind = Literal["solve", "check", "revise"]


class Turn(NamedTuple):
    """A message of a conversation."""

    role: str
    text: str


@dataclass(frozen=True)
class Asked:
    """What is asked of a model with skills.

    Args:
        kind: What to do.
        question: In the form of its family.
        draft: What to check or revise.
        line: The line of the draft that the feedback names, from 1; 0 for none.
    """

    kind: Kind
    question: str
    draft: str = ""
    line: int = UNNAMED


_CHECK = "\n\nIs the draft right?"


def check_prompt(question: str, draft: str) -> str:
    """Return the text that asks for a check of a draft.

    The reply is the lines worked again, up to the first that comes out otherwise, and at last
    ``ok`` or the number of that line.
    """
    return f"{question}\n\nDraft:\n{draft}{_CHECK}"


def asked_in(prompt: str | Sequence[Turn]) -> Asked | None:
    """Return what is asked for, or None if there is no question of a family in it.

    A draft to revise comes as `thinktwice.prompting` puts it: in a text between ``Draft:`` and
    ``Feedback:``, or as the assistant's turn before the user's last. A user's last turn that holds
    another question is a new question.

    Args:
        prompt: A text, or the turns of a conversation.
    """
    if not isinstance(prompt, str):
        return _asked_in_turns(prompt)
    head, found = _draft_in(prompt)
    question = question_in(head)
    if question is None or found is None:
        return None if question is None else Asked("solve", question)
    draft, feedback = found
    if feedback is None:
        return Asked("check", question, draft)
    return Asked("revise", question, draft, named_line(feedback, draft))


def _draft_in(prompt: str) -> tuple[str, tuple[str, str | None] | None]:
    """Return what stands before the first draft, and the last draft with its feedback."""
    if "\n\nDraft:\n" not in prompt:
        return prompt, None
    head, _, _ = prompt.partition("\n\nDraft:\n")
    _, _, rest = prompt.rpartition("\n\nDraft:\n")
    draft, mark, feedback = rest.partition("\n\nFeedback:\n")
    if mark:
        return head, (draft, feedback.removesuffix("\n\nImproved answer:"))
    draft, mark, _ = rest.partition(_CHECK)
    return head, (draft, None) if mark else None


def _asked_in_turns(turns: Sequence[Turn]) -> Asked | None:
    users = [k for k, turn in enumerate(turns) if turn.role == "user"] or [len(turns) - 1]
    last, told = users[-1], turns[users[-1]].text
    draft = next((t.text for t in reversed(turns[:last]) if t.role == "assistant"), None)
    earlier = (question_in(turns[k].text) for k in reversed(users[:-1]))
    question = next((each for each in earlier if each is not None), None)
    if draft is None or question is None or final_answer(draft) is None:
        return asked_in(told)
    if question_in(told) != question and _is_new(told):
        return asked_in(told)
    return Asked("revise", question, draft, named_line(told, draft))


def _is_new(told: str) -> bool:
    """Whether a turn after a draft holds a question rather than feedback on the draft.

    One operation is no question of a family: feedback is full of them.
    """
    question = question_in(told)
    one = question is not None and re.fullmatch(r"\d+[-+*]\d+", question)
    return "\n\nDraft:\n" in told or (question is not None and not one)
