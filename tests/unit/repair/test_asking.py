"""What the next attempt is told."""

from __future__ import annotations

import copy

import pytest

from thinktwice.repair import Feedback, cleaned, feedback_of
from thinktwice.repair.asking import MOST_CHARACTERS
from thinktwice.sample import Verdict


def test_the_words_of_the_verdict():
    """With the evidence that they do not quote already."""
    verdict = Verdict(outcome="fail", feedback="f(1) is 2", evidence=("f(1) is 2", "f(3) raised"))
    assert feedback_of(verdict) == "f(1) is 2\nf(3) raised"


def test_evidence_alone():
    """It is better than nothing."""
    assert feedback_of(Verdict(outcome="fail", evidence=("line 2",))) == "line 2"


def test_a_check_without_words():
    """A bool or a number says only that much."""
    assert "failed" in feedback_of(Verdict(outcome="fail"))
    assert "0.25 of 1" in feedback_of(Verdict(outcome="scored", score=0.25))
    assert "failed" in feedback_of(None)


@pytest.mark.parametrize("feedback", ["\x1bgone\x00", "gone\x07\x9b", "\rgone"])
def test_control_characters_are_left_out(feedback):
    """A verifier may quote what it found anywhere."""
    assert feedback_of(Verdict(outcome="fail", feedback=feedback)) == "gone"


def test_lines_are_kept():
    """They are layout."""
    assert cleaned("a\n\tb\r\n") == "a\n\tb\n"


def test_it_has_a_size():
    """A megabyte of evidence is no feedback."""
    said = feedback_of(Verdict(outcome="fail", feedback="x" * 10**6))
    assert len(said) == MOST_CHARACTERS
    assert said.endswith("...")


def test_what_no_passage_has_comes_along():
    """Whoever revises the input can look for it again; the words are those of any feedback."""
    verdict = Verdict(outcome="scored", score=0.5, feedback="unsupported", missing=("it rained",))
    said = feedback_of(verdict)
    assert (said, said.missing) == ("unsupported", ("it rained",))
    assert feedback_of(Verdict(outcome="fail")).missing == feedback_of(None).missing == ()


def test_feedback_is_a_text_like_any_other():
    """A copy of it is whole."""
    said = copy.copy(Feedback("no", missing=("a", "b")))
    assert isinstance(said, str)
    assert (said, said.missing) == ("no", ("a", "b"))
