"""What a judge really said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index_thinktwice.verifiers.replies import points, preference, yes_or_no

YES = [
    "YES",
    "yes.",
    "**YES**",
    "1. YES",
    '"Yes"',
    "<answer>YES</answer>",
    "Answer: YES",
    "The existing answer remains YES.",
    "YES, there is no contradiction",
    "YES\nNo contradiction was found.",
    "Apples are fruit. No doubt.\n\nAnswer: yes",
]
NO = [
    "NO",
    "- no",
    "NO. Yesterday's prices differ",
    "No, an eyes-only note says otherwise",
    "Final answer: **NO**",
    "The answer is no.",
    "Let me see.\nNo.",
    "NO\nYes-men would differ",
]
NEITHER = [
    None,
    "",
    "maybe",
    "Not supported",
    "Nope",
    "NO, but yes partly",
    "Yes and no",
    "yes/no",
    "YES or NO? I think NO",
    "I cannot say YES",
    "No problem: YES",
    "Yes, but the price is wrong. So the answer is NO",
    "It is yesterday's price",
    "It says so.\nNo contradiction.",
    "YES\n\nAnswer: NO",
]


@pytest.mark.parametrize("reply", YES)
def test_a_yes(reply):
    """In the forms that models give it."""
    assert yes_or_no(reply) is True


@pytest.mark.parametrize("reply", NO)
def test_a_no(reply):
    """Also with a "yes" in some word of it."""
    assert yes_or_no(reply) is False


@pytest.mark.parametrize("reply", NEITHER)
def test_neither(reply):
    """Nor both: nobody knows what was meant."""
    assert yes_or_no(reply) is None


@given(st.text())
def test_no_reply_without_the_word_is_a_yes(reply):
    """Whatever else it holds."""
    said = yes_or_no(reply)
    assert said is None or ("yes" if said else "no") in reply.lower()


@given(st.sampled_from(NO), st.sampled_from(YES))
def test_two_answers_are_none(no, yes):
    """On lines of their own, in either order."""
    last = yes.splitlines()[-1]
    if yes_or_no(last) and last.startswith(("YES", "Answer")):
        assert yes_or_no(f"{no}\n{last}") is None


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("good [RESULT] 2", 2.0),
        ("good [RESULT]\n1.5", 1.5),
        ("[RESULT] 15", 15.0),
        ("[RESULT] 2, I say [RESULT] 2.0", 2.0),
        ("[RESULT] 1 [RESULT] 2", None),
        ("[RESULT] 1.2.3", None),
        ("[RESULT] two", None),
        ("2", None),
        (None, None),
    ],
)
def test_points(reply, number):
    """All digits, and one number."""
    assert points(reply) == number


@pytest.mark.parametrize(
    ("reply", "better"),
    [
        ("because [[A]]", 1.0),
        ("[[B]]", 0.0),
        ("[[C]]", 0.5),
        ("not [[A]] but [[B]]", None),
        ("A", None),
        ("", None),
        (None, None),
    ],
)
def test_preferences(reply, better):
    """LlamaIndex takes [[A]] wherever it stands."""
    assert preference(reply) == better
