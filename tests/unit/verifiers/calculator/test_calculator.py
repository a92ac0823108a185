"""What the calculator says of texts."""

from __future__ import annotations

import json
import pickle
import time
from dataclasses import dataclass

import pytest

from thinktwice.protocols import Verifier
from thinktwice.sample import Sample, Verdict
from thinktwice.verifiers.calculator import Calculator


async def judged(value: object, verifier: Calculator | None = None) -> Verdict:
    return await (verifier or Calculator())(Sample(index=3, value=value), prompt="p")


RIGHT = [
    "17 * 23 = 391",
    "17*23=391",
    "So he has 17 * 23 = 391 apples left.",
    "Step 1: 30*8 = 240",
    "1. 30*8 = 240\n2. 240 + 1 = 241",
    "1) 5 + 3 = 8",
    "- 5 + 3 = 8",
    "* 5 + 3 = 8",
    "- -5 + 3 = -2",
    "(5 + 3 = 8)",
    "[17 * 23 = 391]",
    "**17 \u00d7 23 = 391**",
    "17 \u00d7 23 = **391** apples",
    "**17** \\* 23 = `391`",
    "2**3 = 8",
    "| 3 | 4 | 3*4 = 12 |",
    "$17 \\times 23 = 391$",
    "\\(17 \\cdot 23 = \\boxed{391}\\)",
    "\\[\\frac{1}{2} \\times 8 = 4\\]",
    "&= 17 \\times 23 = 391 \\\\",
    "\\sqrt{16} + 2^{3} = 12 \\text{ apples}",
    "20\\% \\times 50 = 10",
    "12 = 3 * 4",
    "2*3*4 = 6*4 = 24",
    "5 * 3 = 15 + 2 = 17",
    "1,000 + 2,500 = 3,500",
    "$1.50 * 3 = $4.50",
    "\u20ac5 + \u20ac6 = \u20ac11",
    "5 apples + 3 oranges = 8 fruits",
    "3 sprints * 60 meters/sprint = 180 meters",
    "54 (from the song) + 36 (from the first scene) = 90",
    "17 times 23 is 391.",
    "3 plus 4 equals 7",
    "3 + 4, which gives 7",
    "If you multiply 3 * 4 you get 12",
    "3 + 4 adds up to 7",
    "15% of 80 is 12",
    "3/4 of 80 = 60",
    "100 + 20% = 120",
    "5! = 120",
    "3 + 5 = 8!",
    "x = 3 + 4 = 7",
    "Total = 3 + 9 + 7 = 19",
    "60/3=<<60/3=20.0>>20 meters",
    "10 % 3 = 1",
    "min(3, 4) = 3",
    "3(4 + 5) = 27",
    "12.8 / 2/5 = 32",
    "log(100) = 2",
    "log(8) = 3",
    "log(100) = 4.605",
    "sqrt(2) * sqrt(3) = sqrt(6)",
    "floor(7/2) = 3",
    "3 + 4 = 7 = 7",
    "10/3 = 3.333 = 3.33 = 3",
    "2.9/2 = 1.45 = 1.5 = 2",
    "20/80 = 0.25 = 25%",
    "17 * 71 = 1207 \u2248 1200",
    "2 * 30 = 60 minutes = 1 hour",
    "3 * 4 = 12 = 1 dozen",
    "4 * 25 = 100 = $1",
    "3 * 4 = 12 cm^2",
    "2\u00b3 = 8",
    "\uff13\uff10*8\uff1d240",
    "\u202e30*8=240\u202c",
    "3\u200b0*8=240",
    "5 \U0001f34e + 3 \U0001f34e = 8 \U0001f34e",
    "3 + 4 = 7 <= 8",
    "30*8 = 250. Wait, 30*8 = 240.",
]


@pytest.mark.parametrize("text", RIGHT)
async def test_right_arithmetic_passes(text: str):
    """In every notation."""
    verdict = await judged(text)
    assert (verdict.outcome, verdict.score, verdict.evidence) == ("pass", 1.0, ())


@pytest.mark.parametrize(
    ("text", "quote", "right"),
    [
        ("17 * 23 = 381", "17 * 23 = 381", "17 * 23 = 391"),
        ("So it is 17*23=381 apples.", "17*23=381", "17*23 = 391"),
        ("17 times 23 is 381.", "17 times 23 is 381", "17 times 23 = 391"),
        ("| 3*4 = 13 |", "3*4 = 13", "3*4 = 12"),
        ("$17 \\times 23 = \\boxed{392}$", "17 \\times 23 = \\boxed{392}", "17 \\times 23 = 391"),
        ("$1.50 * 3 = $4.60", "$1.50 * 3 = $4.60", "$1.50 * 3 = 4.50"),
        ("1/3 = 0.34", "1/3 = 0.34", "1/3 = about 0.333333"),
        ("2**0.5=1.5", "2**0.5=1.5", "2**0.5 = about 1.41421"),
        ("1/70000 = 0.1", "1/70000 = 0.1", "1/70000 = about 0.0000142857"),
        ("10**12/7 = 5", "10**12/7 = 5", "10**12/7 = about 142857142857"),
        ("log(1000, 10) = 4", "log(1000, 10) = 4", "log(1000, 10) = 3"),
        ("2 + 2 = 4 = 5", "2 + 2 = 4 = 5", "2 + 2 = 4"),
        ("3 + 4 = 7 = 8 = 9", "3 + 4 = 7 = 8", "3 + 4 = 7"),
        ("3 + 4 = 7 = 7 = 9", "3 + 4 = 7 = 7 = 9", "3 + 4 = 7"),
        ("2 + 2 = 5 = 4", "2 + 2 = 5", "2 + 2 = 4"),
        ("60/3=<<60/3=20>>20 = 21", "60/3=<<60/3=20>>20 = 21", "60/3 = 20"),
        ("20/80 = 30%", "20/80 = 30%", "20/80 = 25%"),
        ("20/80 * 100 = 30%", "20/80 * 100 = 30%", "20/80 * 100 = 25%"),
        ("15% of 80 is 13", "15% of 80 is 13", "15% of 80 = 12"),
        ("60/3=<<60/3=20>>21", "60/3=<<60/3=20>>21", "60/3 = 20"),
        ("60/3=<<60/3=21>>20", "60/3=21", "60/3 = 20"),
        ("13 = 3*4", "13 = 3*4", "3*4 = 12"),
        ("3*4 = 2*7", "3*4 = 2*7", "the left side is 12, the right side is not"),
        ("60/3=<<60/3=25>>25", "60/3=<<60/3=25>>25", "60/3 = 20"),
        ("\uff13\uff10*8\uff1d250", "\uff13\uff10*8\uff1d250", "\uff13\uff10*8 = 240"),
        ("\u202e30*8=\x00250\u202c", "30*8=250", "30*8 = 240"),
        ("5 apples + 3 apples = 9 apples", "5 apples + 3 apples = 9", "5 apples + 3 apples = 8"),
        ("10^2000 = 5", "10^2000 = 5", "10^2000 = a number of many digits"),
    ],
)
async def test_a_wrong_line_fails_and_is_quoted(text: str, quote: str, right: str):
    """As it is written, without invisible characters, with the right value."""
    verdict = await judged(text)
    assert verdict.outcome == "fail"
    assert verdict.feedback == f'Line 1, "{quote}", is wrong: {right}.'
    assert verdict.evidence == (verdict.feedback,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No numbers.",
        "2 = 2 apples",
        "352 = 353",
        "x = 3",
        "2x + 3 = 8",
        "2S + 16 = 30",
        "6s + 9 = 3s + 27",
        "f(3) = 2",
        "f(2 + 1) = 5",
        "5C2 = 11",
        "x_1 + 2 = 5",
        "\\pi + 1 = 4",
        "2 \\pi = 6",
        "the rest - 3 = 5",
        "cost of A + cost of B + 3 = 10",
        "240 boys / Total students = 40",
        "assert add(2, 3) == 6",
        "i += 1 == 5",
        "half of 5 + 3 = 4",
        "10 less than 5 * 3 = 5",
        "the average of 3 + 5 = 4",
        "20 candles is 20 * $2.00",
        "2 boxes = 3 * 4",
        "2 x 4 boards are 10 dollars",
        "3 + 4 is 2 more than 5",
        "19 / 5 = 3 with 4 left",
        "19 / 5 = 3 remainder 4",
        "What is 3 + 4 = 8?",
        "3 + 4 = 8 is wrong",
        "3 + 4 is not 8",
        "Suppose 3 + 4 = 8.",
        "Assume that 3 + 4 = 8.",
        "Assuming 3 + 4 = 8, then",
        "If 2 + 2 = 5, then",
        "If 3 + 4 were 8",
        "If the sum were such that 3 + 4 = 8",
        "7/2 = 3 in integer division",
        "the floor of 7/2 = 3",
        "2^3 = 1 (XOR)",
        "9 + 5 = 2 o'clock",
        "9 + 5 = 2 o\u2019clock",
        "9 + 5 = 2 modulo 12",
        "7 + 8 = 13 in base-12",
        "sin 30 + 1 = 1.5",
        "3 * cos 60 + 1 = 2.5",
        "\\sin 30 + 1 = 1.5",
        "log 100 + 1 = 3",
        "log of 100 + 1 = 3",
        "a[1] + 2 = 4",
        "total[1] + 2 = 4",
        "f(x)[1] + 2 = 4",
        "4 = a[1] + 2",
        "3 + 4 != 8",
        "3 + 4 \u2260 8",
        "3 + 4 -> 8",
        "3 km + 200 m = 3.2 km",
        "30 minutes * 4 = 2 hours",
        "25 cents * 4 = $1",
        "$0.25 * 4 = 100",
        "1.5 million * 2 = 3,000,000",
        "4 dozen + 2 = 50",
        "12/25/2021 is 5 days away",
        "2021-12-25 - 3 = 22",
        "3:30 + 1 = 4",
        "192.168.0.1 - 1 = 5",
        "3.11.2 - 1 = 5",
        "978-3-16-148410-0 = 5",
        "555-123-4567 = 5",
        "10-12 = 3 days",
        "10-12 = 2 days",
        "1 + 1 = 10 in binary",
        "7 + 8 = 3 mod 12",
        "7 + 8 = 3 (mod 12)",
        "7 + 8 \u2261 3",
        "0x10 + 1 = 17",
        "4 * 25 \u00a2 = 1",
        "5/0 = 0",
        "9**9**9 = 1",
        "3,5 + 1,5 = 6",
        "1 000 + 500 = 1 600",
        "3 1/2 + 1 = 5",
        "10 am - 5 pm = 17",
        "(5 + 3",
        "= 5",
        "5 +",
        "=" * 50,
        "<<>>" * 50,
        "1 = <<",
    ],
)
async def test_what_is_no_arithmetic_is_left_alone(text: str):
    """Neither right nor wrong: there may be something that cannot be seen."""
    verdict = await judged(text)
    assert (verdict.outcome, verdict.score) == ("not_applicable", None)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("1/3 = 0.33", True),
        ("1/3 = 0.333333", True),
        ("1/3 = 0.34", False),
        ("2/3 = 0.67", True),
        ("2/3 = 0.66", True),
        ("2/3 = 0.65", False),
        ("1/3 \u2248 0.34", True),
        ("1/3 is about 0.34", True),
        ("1/3 = ~0.34", True),
        ("1/3 \\approx 0.34", True),
        ("1/3 is about 0.36", False),
        ("17 * 71 is about 1,200", True),
        ("17 * 71 is about 1,100", True),
        ("17 * 71 is about 1,000", False),
        ("17 * 71 = 1,200", False),
        ("10/3 = 3", True),
        ("10/3 = 4", False),
        ("9/2 = 5", True),
        ("9/2 = 4", False),
        ("3/8 = 37.5%", True),
        ("1/3 = 33%", True),
        ("1/3 = 34%", False),
        ("0.1 + 0.2 = 0.30000000000000004", True),
        ("10/3 = 3.33\n3.33 * 3 = 10", True),
        ("50 * 0.33 = 16.67", True),
        ("5 - 8 = 3", False),
        ("5 - 8 = -3", True),
        ("5-8=2", False),
        ("1e3 * 2 = 2000", True),
        ("2500 / 2 = 1.25e3", True),
    ],
)
async def test_a_number_stands_for_what_its_digits_allow(text: str, holds: bool):
    """Rounded or cut off; one unit more where it is said to be approximate."""
    assert (await judged(text)).outcome == ("pass" if holds else "fail")


async def test_a_log_without_a_base_is_shown_to_each():
    """Nobody can tell which was meant; one that is the same to all is shown once."""
    verdict = await judged("log(100)=3")
    assert verdict.feedback == (
        'Line 1, "log(100)=3", is wrong: log(100) = about 4.60517 to the base e,'
        " or 2 to the base 10, or about 6.64386 to the base 2."
    )
    same = await judged("log(8,2)+log(1)=4")
    assert same.feedback == 'Line 1, "log(8,2)+log(1)=4", is wrong: log(8,2)+log(1) = 3.'


async def test_several_slips():
    """The first is quoted, the others counted; a line written twice counts once."""
    text = "1+1=2\n2+2=<<2+2=5>>5\n3+3=7\n4+4=9"
    verdict = await judged(text)
    assert verdict.score == pytest.approx(0.025)
    assert verdict.feedback == 'Line 2, "2+2=<<2+2=5>>5", is wrong: 2+2 = 4. 2 more are wrong.'
    assert [said[:6] for said in verdict.evidence] == ["Line 2", "Line 3", "Line 4"]
    two = await judged("1+1=3\n2+2=5")
    assert two.feedback == 'Line 1, "1+1=3", is wrong: 1+1 = 2. 1 more is wrong.'


async def test_more_right_lines_score_higher_and_less_than_any_pass():
    """Fails are in order, and weigh little in a vote."""
    scores = [
        (await judged("1+1=3" + "\n2+2=4" * right + "\n9+1=11" * wrong)).score
        for right, wrong in ((0, 0), (1, 1), (1, 0), (9, 0))
    ]
    assert scores == pytest.approx([0, 1 / 30, 0.05, 0.09])


async def test_evidence_is_capped():
    """Five lines, of at most some hundred characters."""
    text = "\n".join("1" + "+1" * n + "=5000" for n in range(200, 210))
    verdict = await judged(text)
    assert len(verdict.evidence) == 5
    assert max(map(len, verdict.evidence)) < 700


@dataclass
class Message:
    """As a chat framework has them."""

    content: object
    type: str = "ai"


@pytest.mark.parametrize(
    "value",
    [
        "30*8=250",
        Message("30*8=250"),
        Message([{"type": "text", "text": "30*8=250"}]),
        {"messages": [Message("9*9=82", "human"), Message("30*8=250")]},
        {"working": "30*8=250", "answer": 250},
        {"raw": None, "parsed": {"steps": ["30*8=250", "2+2=4"]}, "parsing_error": None},
        {"working": "First\n30*8=250\nthen"},
    ],
    ids=range(7),
)
async def test_any_value_with_text_is_read(value: object):
    """Messages, states and structured answers; only a text is corrected."""
    verdict = await judged(value)
    assert verdict.outcome == "fail"
    assert "30*8=250" in (verdict.feedback or "")
    assert (verdict.correction is not None) is isinstance(value, str)


@pytest.mark.parametrize(
    "value", [None, 42, b"30*8=250", {}, object(), [], "\x00\u202e"], ids=range(7)
)
async def test_a_value_without_text_is_not_applicable(value: object):
    """Nothing to check is neither a fail nor an error."""
    assert (await judged(value)).outcome == "not_applicable"


async def test_it_is_a_verifier_that_calls_no_model():
    """And no oracle: it never sees the question."""
    verifier = Calculator()
    assert isinstance(verifier, Verifier)
    assert (verifier.exact, verifier.calls, verifier.role) == (False, 0, "tool")
    assert eval(repr(verifier)) == verifier  # noqa: S307 - our own text
    assert pickle.loads(pickle.dumps(verifier)) == verifier  # noqa: S301 - our own bytes
    verdict = await judged("1+1=2", Calculator(name="sums"))
    assert (verdict.verifier, verdict.sample) == ("sums", 3)


LONG = {
    "digits": "1",
    "brackets": "(",
    "equals signs": "=",
    "opened": "1=(",
    "nested": "<<1+1=",
    "sums": "1+1=3\n",
    "chains": "1+1=" * 900 + "2\n",
    "one line": "1+",
    "fractions": "1/7+" * 900 + "1/3=2\n",
    "spaces": " ",
    "phrases": ", which is ",
    "emphasis": "**1",
    "commas": "1,",
    "latex": "\\text{",
    "invisible": "1\u200b",
    "suppositions": "if a 1+1=3 ",
    "logs": "log(1)=5\n",
    "restated": "3+1=4" + "=4" * 900 + "\n",
    "prose": "He has 3 + 4 = 7 apples and eats 2 of them. ",
}


@pytest.mark.parametrize("piece", LONG.values(), ids=LONG)
async def test_a_long_answer_is_read_in_linear_time(piece: str):
    """What a parser could stumble over; a square of this length would take minutes."""
    text = piece * (30_000 // len(piece))
    began = time.process_time()
    await judged(text)
    assert time.process_time() - began < 3


async def test_json_in_the_text_is_read_line_by_line():
    """Line ends that are written as such end a line."""
    text = json.dumps({"steps": "30*8=240\n240+1=241\ndone"})
    assert (await judged(text)).outcome == "pass"
