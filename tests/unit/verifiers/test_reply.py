"""Reading what a judge said."""

from __future__ import annotations

import pytest

from thinktwice.sample import Completion
from thinktwice.verifiers.reply import fields_of, reason_in, unreadable


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ('{"a": 1, "b": 2}', True),
        ('```json\n{"a": 1}\n```', True),
        ({"a": None}, True),
        ('{"b": 1}', False),
        ('say {"a": 1}', False),
        ('{"a": 1} {"a": 1}', False),
        ('{"a": 1, "a": 2}', False),
        ("[" * 100_000, False),
        ("", False),
        (None, False),
        (3, False),
    ],
    ids=lambda each: repr(each)[:30],
)
def test_one_object_with_the_fields(reply: object, found: bool):
    """And nothing round it."""
    assert (fields_of(reply, "a") is not None) is found


def test_a_reason_is_a_text_with_words():
    """Or there is none."""
    assert reason_in({"reason": " so "}) == "so"
    assert reason_in({"reason": " "}) is None
    assert reason_in({"reason": 3}) is None
    assert reason_in({}) is None


def test_why_it_could_not_be_read_has_none_of_its_words():
    """They may be the candidate's."""
    assert unreadable(Completion(value="secret")) == (
        "the judge did not answer with the JSON object asked for"
    )
    assert unreadable(Completion(value="secret", finish_reason="length")) == (
        "the judge stopped by length"
    )
