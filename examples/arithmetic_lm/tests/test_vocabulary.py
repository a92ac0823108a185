from __future__ import annotations

from itertools import islice

import pytest

from arithmetic_lm.problems import training_texts
from arithmetic_lm.vocabulary import SOLVE, Vocabulary


def test_round_trip():
    vocabulary = Vocabulary()
    for _, text in islice(training_texts(0), 200):
        numbers = vocabulary.encode(text)
        assert vocabulary.decode(numbers) == text
        assert vocabulary.count(text) == len(numbers)


def test_prompt_starts_with_its_skill():
    vocabulary = Vocabulary()
    numbers = vocabulary.prompt("37*8+56")
    assert vocabulary.tokens[numbers[0]] == SOLVE
    assert vocabulary.decode(numbers) == "37*8+56=\n"


def test_control_tokens_are_left_out_of_texts():
    vocabulary = Vocabulary()
    assert vocabulary.decode([vocabulary.pad, *vocabulary.encode("12"), vocabulary.end]) == "12"
    assert vocabulary.end not in vocabulary.silent
    assert vocabulary.pad in vocabulary.silent


def test_unknown_characters():
    vocabulary = Vocabulary()
    assert not vocabulary.knows("x")
    with pytest.raises(KeyError):
        vocabulary.encode("x")
