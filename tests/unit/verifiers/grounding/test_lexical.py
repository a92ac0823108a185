"""Checking claims by their words."""

from __future__ import annotations

import pytest

from thinktwice.verifiers.grounding.lexical import Corpus, Finding, look_up, read_passage
from thinktwice.verifiers.grounding.words import names, negated, quotations, stem, words

PRICES = "Prices per kilo\n\napple 3\npear 5\nbanana 2"
TABLE = "| fruit | price |\n|---|---|\n| apple | $3 |\n| pear | $5 |"
CURIE = (
    "Marie Curie was born in Warsaw in 1867. She won the Nobel Prize in Chemistry in 1911. "
    'She said: "Nothing in life is to be feared, it is only to be understood."'
)


def checked(claim: str, *passages: str) -> Finding:
    return look_up(claim, Corpus(tuple(read_passage(i, p) for i, p in enumerate(passages, 1))))


@pytest.mark.parametrize(
    ("claim", "passage"),
    [
        ("apple 3", PRICES),
        ("A pear costs 5 dollars.", PRICES),
        ("Apples cost 3 dollars each.", PRICES),
        ("The price of a pear is $5.", TABLE),
        ("Marie Curie won the Nobel Prize in 1911.", CURIE),
        ("Curie was born in 1867.", CURIE),
        ("Marie Curie was born in Warsaw.", CURIE),
        ('She said "Nothing in life is to be feared".', CURIE),
        ('She said "nothing in life ... is only to be understood".', CURIE),
        ("Revenue was 6 million dollars.", "In 2021 revenue was 6.2 million dollars, up 5 %."),
        ("The tower is not 5 m tall.", "The tower is not 5 m tall."),
        ("The park covers 5 km\u00b2.", "The park has 5 square kilometres."),
        ("It uses `parse_all`.", "Use parse_all to read."),
        ("It opens at 9 am.", "Open from 9 am to 5 pm."),
    ],
)
def test_supported(claim: str, passage: str):
    """One place has its numbers and enough of its words, and its context the names."""
    finding = checked(claim, passage)
    assert (finding.status, finding.missing) == ("supported", ())


@pytest.mark.parametrize(
    ("claim", "passage", "place"),
    [
        ("apple 5", PRICES, "apple 3"),
        ("The price of pears is 3.", PRICES, "pear 5"),
        ("The price of a pear is $3.", TABLE, "pear, $5"),
        ("A pear costs 4 dollars.", PRICES, "pear 5"),
        (
            "The Eiffel Tower is 324 m tall.",
            "The Eiffel Tower is 330 m tall.",
            "The Eiffel Tower is 330 m tall.",
        ),
        ("Curie was born in 1868.", CURIE, "Marie Curie was born in Warsaw in 1867."),
    ],
)
def test_contradicted(claim: str, passage: str, place: str):
    """The place that says the same gives another number: the wrong row, or a made-up one."""
    finding = checked(claim, passage)
    assert finding.status == "contradicted"
    assert finding.place is not None
    assert finding.place.text == place


@pytest.mark.parametrize(
    ("claim", "passage", "missing"),
    [
        ("kiwi 4", PRICES, ("4",)),
        ("Kiwis cost 3 dollars.", PRICES, ("Kiwis",)),
        ("3 pears at 5 each cost 15.", PRICES, ("15",)),
        ("Pierre Curie won it.", CURIE, ("Pierre",)),
        ("Marie Curie was born in Paris.", CURIE, ("Paris",)),
        ('She said "I am the best".', CURIE, ('"I am the best"',)),
        ("The Eiffel Tower is not 330 m tall.", "The Eiffel Tower is 330 m tall.", ()),
        ("In 2020 revenue was 6.2 million.", "In 2021 revenue was 6.2 million.", ("2020",)),
        ("Apple sold 3 million phones.", "Apple was founded in 1976.", ("3 million",)),
        ("The tower is 5 kg.", "The tower is 5 m.", ("5 kg",)),
        ("The price is 7.", "The price of pears is 5 dollars.", ("7",)),
    ],
)
def test_unknown(claim: str, passage: str, missing: tuple[str, ...]):
    """What cannot be found is not refuted by that."""
    finding = checked(claim, passage)
    assert (finding.status, finding.missing) == ("unknown", missing)


def test_numbers_and_quotations_that_stand_nowhere_are_made_up():
    """Names may be written in another way."""
    finding = checked('Pierre said "I am the best" 7 times.', CURIE)
    assert finding.made_up == ("7", '"I am the best"')
    assert finding.missing == ("7", '"I am the best"', "Pierre")


@pytest.mark.parametrize("claim", ["It is so.", "the tower is tall", "He said 'yes' to it."])
def test_a_claim_without_anything_to_look_for_is_not_checked(claim: str):
    """Words alone say too little."""
    assert checked(claim, PRICES) == Finding(None)


def test_without_passages_nothing_is_supported():
    """As for a claim that cites one that there is not."""
    assert checked("apple 3") == Finding("unknown", None, ("3",), ("3",))


REPORT = (
    "Revenue for fiscal 2023 was $96.8 billion, up 19 percent from $81.5 billion a year earlier. "
    "Operating income was $8.9 billion, resulting in a 9.2% operating margin. Net income fell to "
    "$7.9 billion."
)


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        ("In fiscal 2023, revenue was $96.8 billion.", "supported"),
        ("Revenue grew 19% year over year.", "supported"),
        ("The operating margin was 9.2 percent.", "supported"),
        ("Revenue: $97 billion", "supported"),
        ("Net income: $8.9 billion", "contradicted"),
        ("Net income fell to $9.7 billion.", "contradicted"),
        ("Revenue grew 91% year over year.", "unknown"),
        ("Operating income was $9.8 billion.", "unknown"),
        ("Acme's revenue was $96.8 billion.", "unknown"),
    ],
)
def test_a_report(claim: str, status: str):
    """Numbers of one sentence are not those of another."""
    assert checked(claim, REPORT).status == status


def test_words_alone_do_not_tell_who_did_what():
    """It takes a judge; the documentation says so."""
    assert checked("Bob beat Ann by 3 goals.", "Ann beat Bob by 3 goals.").status == "supported"


def test_a_sentence_without_end_is_not_looked_up():
    """It is untrusted, and looking for a million numbers takes long."""
    assert checked("3 " * 500_000, PRICES) == Finding("unknown")


class TestWords:
    """What carries meaning."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Paris is the capital of France.", ["Paris", "France"]),
            ("The man met Ada Lovelace's son.", ["Ada", "Lovelace's"]),
            ("It uses GPT-4, iPhone, NASA and my_name.", ["GPT-4", "iPhone", "NASA"]),
            ("However, they did not. In 2020 it was.", []),
            ("Call `f(x)` now.", ["f(x)"]),
            ("It covers 5 km\u00b2.", []),
        ],
    )
    def test_names(self, text: str, expected: list[str]):
        """Capitalised, identifiers and code; not the words that sentences begin with."""
        found = names(text)
        assert [each for each in found if each in expected] == expected
        assert set(found) - set(expected) <= {"my_name"}

    def test_words_have_one_form(self):
        """Singular, plural, possessive, case; no numbers, units and little words."""
        assert set(words("The Apples' price, apple's prices: 3 kg!")) == {"apple", "price"}
        assert stem("Glass") == "glass"

    def test_negations(self):
        """In their spellings."""
        assert all(map(negated, ["It is not.", "It isn't.", "It isn\u2019t.", "No one.", "Never!"]))
        assert not negated("It is so, I know.")

    def test_quotations(self):
        """From three words on, in any quotes."""
        text = (
            'He: "one two three", \u201cfour five six\u201d, \u00abseven eight nine\u00bb, "yes".'
        )
        assert quotations(text) == ["one two three", "four five six", "seven eight nine"]
