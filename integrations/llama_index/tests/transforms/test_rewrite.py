"""Rewrites: their text, and the bundle that is retrieved with."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import QueryBundle
from llama_index_thinktwice.transforms.rewrite import (
    Placing,
    Rewrite,
    asked_of,
    bundle_of,
    original,
    transformed,
    word_set,
)

from thinktwice import UsageError
from thinktwice.answers import default_key

QUESTION = QueryBundle("Who rules?", image_path="a.png", embedding=[1.0])


@given(st.lists(st.sampled_from(["paris", "FRANCE", "capital", "über"]), min_size=1), st.randoms())
def test_the_order_case_and_number_of_words_do_not_tell_rewrites_apart(words, random):
    """The key of a vote is the set of words."""
    shuffled = random.sample(words, len(words))
    left, right = " ".join(words), ", ".join(word.swapcase() for word in shuffled) + "?"
    assert word_set(left) == word_set(right) == word_set(f"{left} {left}")


def test_a_rewrite_without_a_word_abstains():
    """Punctuation alone is no query."""
    assert word_set(" ?! ") is None


@pytest.mark.parametrize(
    ("into", "include", "query", "embedded"),
    [
        ("embedding", True, "Who rules?", ["king", "Who rules?"]),
        ("embedding", False, "Who rules?", ["king"]),
        ("query", True, "king", ["king", "Who rules?"]),
        ("query", False, "king", ["king"]),
    ],
)
def test_a_text_goes_where_it_is_to_go(into, include, query, embedded):
    """The image stays, and the embedding of the question does not."""
    rewrite = Placing(into, include).placed(" king\n", QUESTION)
    assert rewrite == "king"
    expected = QueryBundle(query, image_path="a.png", custom_embedding_strs=embedded)
    assert rewrite.bundle == expected


def test_a_rewrite_that_is_the_question_is_embedded_once():
    """Twice would weigh it double where embeddings are averaged."""
    rewrite = Placing("embedding", include_original=True).placed("Who rules?", QUESTION)
    assert rewrite.bundle.embedding_strs == ["Who rules?"]


def test_an_empty_text_is_no_rewrite():
    """It abstains."""
    assert Placing("embedding", include_original=True).placed(" \n", QUESTION) is None


@pytest.mark.parametrize(
    ("into", "include", "name"), [("both", True, "into"), ("query", "yes", "include_original")]
)
def test_nonsense_is_refused_by_name(into, include, name):
    """A word that nobody knows, and a flag that is none."""
    with pytest.raises(UsageError, match=name):
        Placing(into, include)


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],  # noqa: S301
)
def test_a_copy_of_a_rewrite_keeps_its_bundle(copied):
    """Also in another process."""
    rewrite = Rewrite("king", QueryBundle("Who rules?", custom_embedding_strs=["king"]))
    again = copied(rewrite)
    assert (again, again.bundle) == ("king", rewrite.bundle)
    assert isinstance(again, Rewrite)


def test_a_rewrite_counts_as_its_text():
    """By the default key, and by any that reads texts."""
    assert default_key(Rewrite("King!", QUESTION)) == "king"


def test_a_bundle_to_retrieve_with_is_always_a_new_one():
    """Retrievers leave embeddings on theirs."""
    rewrite = original(QUESTION)
    first, second = bundle_of(rewrite), bundle_of(rewrite)
    first.embedding = [2.0]
    assert second.embedding == rewrite.bundle.embedding == [1.0]
    assert bundle_of("king") == QueryBundle("king")
    assert bundle_of(QUESTION) == QUESTION
    assert bundle_of(QUESTION) is not QUESTION


def test_the_question_is_found_in_any_prompt():
    """Evidence serves other doors, too."""
    assert asked_of(QUESTION) == QUESTION
    assert asked_of("Who rules?").query_str == "Who rules?"


# ---- what other transforms make -----------------------------------------------------------------


def test_of_a_new_query_the_text_is_that_query():
    """As of a transform that decomposes."""
    made = QueryBundle("king", custom_embedding_strs=["king"])
    rewrite = transformed(made, QUESTION, QUESTION)
    assert (rewrite, rewrite.bundle) == ("king", made)
    assert rewrite.bundle is not made


def test_of_new_embedding_strings_the_text_is_what_is_new():
    """As of HyDE, which embeds the question beside its document."""
    made = QueryBundle("Who rules?", custom_embedding_strs=["A king does.", "Who rules?"])
    rewrite = transformed(made, QUESTION, QUESTION)
    assert rewrite == "A king does."
    assert rewrite.bundle == made


def test_of_an_unchanged_query_the_text_is_the_question():
    """The identity is a transform."""
    assert transformed(QUESTION, QUESTION, QUESTION) == "Who rules?"


def test_feedback_in_a_query_does_not_come_out():
    """A transform may keep the text that it is given: the user's stands there again."""
    asked = QueryBundle("Who rules?\n\nFeedback: no", custom_embedding_strs=["Who rules?"])
    made = QueryBundle(asked.query_str, custom_embedding_strs=["A queen.", "Who rules?"])
    rewrite = transformed(made, asked, QUESTION)
    assert rewrite == "A queen."
    assert rewrite.bundle.query_str == "Who rules?"


def test_an_empty_query_is_no_rewrite():
    """It abstains."""
    assert transformed(QueryBundle(" "), QUESTION, QUESTION) is None
