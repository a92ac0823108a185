"""What feedback points at, and what the model reads of it."""

from __future__ import annotations

import math

import pytest

from arithmetic_lm.skills import check_tokens, named_line, read_check, revise_tokens
from arithmetic_lm.vocabulary import CHECK, REVISE, SKILLED_TOKENS, Vocabulary

DRAFT = "37*8=297\n297+56=353\nA:353"


@pytest.mark.parametrize(
    ("feedback", "line"),
    [
        ("Line 2 is wrong.", 2),
        ("`37*8=297`: 37*8 is not 297", 1),
        ("37 * 8 is 296.", 1),
        ("37\u00d78 = 296, not 297", 1),
        ("In 297 + 56 = 353 there is a mistake", 2),
        ("The answer A:353 is wrong", 3),
        ("line 3, and before it line 2", 2),
        ("line 9 is wrong", 0),
        ("Try again.", 0),
        ("", 0),
        ("137*8=1096 is right", 0),
        ("2297+56=2353", 0),
    ],
)
def test_the_first_line_that_is_named_or_quoted(feedback, line):
    assert named_line(feedback, DRAFT) == line


def test_a_line_of_a_price_list_is_quoted_with_its_name():
    draft = "pear 12*3=36\nplum 56*2=112\n36+112=148\nA:148"
    assert named_line("`pear 12*3=36`: the list says pear 34, not 12", draft) == 1
    assert named_line("plum 56*2 is fine, line 1 is not", draft) == 1


def test_what_the_model_reads():
    vocabulary = Vocabulary(SKILLED_TOKENS)
    read = check_tokens(vocabulary, "37*8+56", DRAFT)
    assert vocabulary.tokens[read[0]] == CHECK
    assert vocabulary.decode(read) == f"37*8+56=\n{DRAFT}\n"
    read = revise_tokens(vocabulary, "37*8+56", DRAFT, 2)
    assert vocabulary.tokens[read[0]] == REVISE
    assert vocabulary.decode(read) == f"37*8+56=\n{DRAFT}\n!2\n"


def test_a_draft_with_a_re_check_is_read_as_it_came_out():
    vocabulary = Vocabulary(SKILLED_TOKENS)
    high = "37*8=297\n297+56=353\n?1\n37*8=296\n296+56=352\nA:352"
    read = vocabulary.decode(check_tokens(vocabulary, "37*8+56", high))
    assert read == "37*8+56=\n37*8=296\n296+56=352\nA:352\n"


def test_a_vocabulary_without_skills_says_so():
    assert not Vocabulary().has_skills
    assert not Vocabulary().has_words
    assert Vocabulary(SKILLED_TOKENS).has_skills
    with pytest.raises(KeyError):
        check_tokens(Vocabulary(), "37*8+56", DRAFT)


RIGHT = "37*8=296\n296+56=352\nA:352"


def test_a_check_that_comes_to_the_draft_is_as_sure_as_its_text():
    reply = f"{RIGHT}\nok"
    logprobs = [0.0] * len(reply)
    logprobs[RIGHT.index("352")], logprobs[-1] = math.log(0.5), math.log(0.8)
    check = read_check(RIGHT, reply, logprobs)
    assert (check.line, check.doubtful) == (0, 2)
    assert check.ok == pytest.approx(0.4)
    assert read_check(RIGHT, reply).ok == 1


def test_a_check_that_comes_to_something_else_says_how_likely_the_draft_was():
    reply = "37*8=296\n1"
    logprobs = [math.log(0.9), *[0.0] * 6, math.log(0.6), *[0.0] * 2]
    top = [{character: logprob} for character, logprob in zip(reply, logprobs, strict=True)]
    top[7]["7"] = math.log(0.2)
    check = read_check(DRAFT, reply, logprobs, top)
    assert (check.line, check.doubtful) == (1, 1)
    assert check.ok == pytest.approx(0.9 * 0.2)


def test_the_chance_of_a_draft_is_low_if_the_alternatives_are_not_told():
    check = read_check(DRAFT, "37*8=296\n1", [0.0] * 10)
    assert (check.line, check.ok) == (1, pytest.approx(0.01))
    check = read_check(DRAFT, "37*8=296\n1", [0.0] * 10, [{"6": -0.1, "5": -4.0}] * 10)
    assert check.ok == pytest.approx(math.exp(-4.0))


def test_a_line_called_wrong_though_it_came_out_the_same():
    check = read_check(RIGHT, "37*8=296\n1", [0.0] * 10, [{"2": math.log(0.3)}] * 10)
    assert (check.line, check.doubtful) == (1, 2)
    assert check.ok == pytest.approx(0.3)


@pytest.mark.parametrize("reply", ["", "37*8=296", "37*8=296\n", "o", "ok then", "A:352", "12"])
def test_a_reply_without_a_verdict_is_no_check(reply):
    assert read_check(RIGHT, reply) is None
