"""Putting computed values in."""

from __future__ import annotations

import pytest

from thinktwice.sample import Correction, Sample
from thinktwice.verifiers.calculator import Calculator


async def corrected(text: str) -> Correction | None:
    verdict = await Calculator()(Sample(index=0, value=text), prompt="p")
    assert verdict.outcome == "fail"
    return verdict.correction


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("30*8=250", "30*8=240"),
        ("30*8=250\n250+56=306\nA:306", "30*8=240\n240+56=296\nA:296"),
        ("30*8=250\n250+56=316\nA:316", "30*8=240\n240+56=296\nA:296"),
        ("30*8=240\n240+56=306\nThe answer is 306.", "30*8=240\n240+56=296\nThe answer is 296."),
        ("2+2=5. So 5*3 = 15.\n#### 15", "2+2=4. So 4*3 = 12.\n#### 12"),
        ("2+2=5\n\\boxed{5}", "2+2=4\n\\boxed{4}"),
        ("2+2=5\nFinal answer: **5**", "2+2=4\nFinal answer: **4**"),
        ("2+2=5\nAnswer: $5", "2+2=4\nAnswer: $4"),
        ("Step 1: 2+2=6\nStep 2: 6*3=18", "Step 1: 2+2=4\nStep 2: 4*3=12"),
        ("1. 1+1=4\n2. 4*3=12\n4. 12+1=13", "1. 1+1=2\n2. 2*3=6\n4. 6+1=7"),
        ("2*3=<<2*3=7>>7 cm\n7+1=8", "2*3=<<2*3=6>>6 cm\n6+1=7"),
        ("2*3*4 = 6*4 = 25", "2*3*4 = 6*4 = 24"),
        ("900 + 140 = 940.\n1,000 + 40 = 1,140", "900 + 140 = 1,040.\n1,000 + 40 = 1,040"),
        ("1,000 + 240 = 1,250", "1,000 + 240 = 1,240"),
        ("800 + 240 = 850, 9,000 left", "800 + 240 = 1,040, 9,000 left"),
        ("$1.50 * 3 = $4.60", "$1.50 * 3 = $4.50"),
        ("7/2 = 3.7\n3.7 * 2 = 7.4", "7/2 = 3.5\n3.5 * 2 = 7.0"),
        ("7/2 = 3", "7/2 = 3.5"),
        ("10/3 = 4.33", "10/3 = 3.33"),
        ("20/80 = 30%", "20/80 = 25%"),
        ("5 - 8 = 3\nA:3", "5 - 8 = -3\nA:-3"),
        ("\u202e3\u200b0*8=2\u200b50 \r\nA:250", "\u202e3\u200b0*8=240 \r\nA:240"),
        ("\uff13\uff10*8\uff1d\uff12\uff15\uff10", "\uff13\uff10*8\uff1d240"),
        ("$17 \\times 23 = 381$ so $381 + 1 = 382$", "$17 \\times 23 = 391$ so $391 + 1 = 392$"),
        ("2+2=5\n6+1=7\nA:7", "2+2=4\n6+1=7\nA:7"),
        ("2+2=5\nA:7", "2+2=4\nA:7"),
        ("2+2=4=5\nA:5", "2+2=4=4\nA:4"),
        ("log(8,2) = 4", "log(8,2) = 3"),
    ],
)  # fmt: skip
async def test_a_slip_and_what_follows_from_it_are_put_right(text: str, right: str):
    """And nothing else is touched."""
    found = await corrected(text)
    assert found is not None
    assert found.value == right


async def test_each_change_is_shown():
    """The statement before and after, in order."""
    found = await corrected("First 30*8 = <<30*8=250>>250 km.\nThen 250 + 56 = 306.\nA: 306")
    assert found is not None
    assert found.changes == (
        ("30*8 = <<30*8=250>>250", "30*8 = <<30*8=240>>240"),
        ("250 + 56 = 306", "240 + 56 = 296"),
        ("A: 306", "A: 296"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "He has 250.\n30*8=250\n250+56=306",
        "30*8=250\nSo he has 250 km.\n250+56=306",
        "30*8=250\n250 left",
        "30*8=250\n200+50=250\n250+1=251",
        "200+50=250\n30*8=250\n250+1=251",
        "30*8=250\n40*6=250\n30*7=250\n250+1=251",
        "2*3 = 7*1 = 8",
        "3*4 = 2*7",
        "10/3 = 3.34\n3.34 is about right",
        "13 = 3*4",
        "5-8=-4",
        "5 - 8 = 3\n10+3=13",
        "12 / 2/5 = 31",
        "1+1=3\n3*3=9",
        "100 + 10% = 130",
        "2+2=5\n4+1=5 = 10/2",
        "2*2=5\n3*5 = 5+10",
        "3*1=4\n3\u2074=81",
        "log(100)=3",
        "log(1)+1=3",
        "7+1=9\nlog(9)=3.17",
        "3+4 = 7 = 8 = 9",
    ],
)
async def test_what_is_not_safe_is_not_corrected(text: str):
    """The number stands somewhere else, too; or there is more than one way to mend it."""
    assert await corrected(text) is None


async def test_a_chat_message_as_a_dict_is_corrected_with_its_other_entries():
    """The value is the message again, with the right text."""
    message = {"role": "assistant", "content": "30*8=250", "id": 1}
    verdict = await Calculator()(Sample(index=0, value=message), prompt="p")
    assert verdict.correction is not None
    assert verdict.correction.value == {**message, "content": "30*8=240"}
    assert verdict.correction.changes == (("30*8=250", "30*8=240"),)


async def test_two_slips_to_the_same_number_are_mended_where_neither_is_used():
    """What they were is then of no use to anybody."""
    found = await corrected("30*8=250\n40*7=250")
    assert found is not None
    assert found.value == "30*8=240\n40*7=280"


async def test_a_long_text_is_not_corrected():
    """Only checked."""
    assert await corrected("30*8=250\n" + "word " * 5000) is None
    assert await corrected("".join(f"{n}+1={n + 2}\n" for n in range(10_000, 10_200))) is None
