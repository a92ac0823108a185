"""Verifiers for thinktwice."""

from __future__ import annotations

import pytest

thinktwice = pytest.importorskip("thinktwice")
from thinktwice import Completion, Sample
from thinktwice.errors import UsageError

from arithmetic_lm import ArithmeticSampler
from arithmetic_lm.critic import ArithmeticCritic, countdown_check, price_check
from arithmetic_lm.problems import work

pytestmark = pytest.mark.anyio

QUESTION = "What is 37*8+56?"
RIGHT = "37*8=296\n296+56=352\nA:352"
PRICES = "Prices: fig 12, pear 34, plum 56. What do 3 pears and 2 plums cost?"


def _sample(text: str) -> Sample[object]:
    return Sample(index=4, value=text, text=text)


def _says(text: str, *logprobs: float):
    async def ask(prompt, *, options=None):
        return Completion(value=text, text=text, logprobs=logprobs or None)

    return ask


async def test_the_models_own_check():
    critic = ArithmeticCritic(ArithmeticSampler(model="skilled"))
    verdicts = [
        await critic(_sample("\n".join(lines)), prompt=f"What is {question}?")
        for question in ("37*8+56", "24*7+31", "68*6+45+23", "45+67-38+29")
        for lines in (work(question), work(question, calculate=lambda *_: 999))
    ]
    assert {verdict.outcome for verdict in verdicts} <= {"pass", "fail"}
    for right, wrong in zip(verdicts[::2], verdicts[1::2], strict=True):
        assert right.score > wrong.score
    failed = verdicts[1]
    assert failed.outcome == "fail"
    (quoted,) = failed.evidence
    assert quoted in {"37*8=999", "999+56=999", "A:999"}
    assert f"`{quoted}`" in failed.feedback
    assert (failed.sample, failed.verifier) == (4, "arithmetic critic")
    assert (critic.exact, critic.calls, critic.role) == (False, 1, "critique")


async def test_the_threshold_decides():
    sampler = ArithmeticSampler(model="skilled")
    lax, strict = (ArithmeticCritic(sampler, threshold=at) for at in (0.0, 1.0))
    one = await lax(_sample(RIGHT), prompt=QUESTION)
    two = await strict(_sample(RIGHT), prompt=QUESTION)
    assert (one.outcome, two.outcome) == ("pass", "fail")
    assert one.score == two.score < 1


async def test_any_sampler_that_answers_like_the_model_will_do():
    text = f"{RIGHT}\nok"
    sure = [-0.1, *[0.0] * (len(text) - 1)]
    passed = await ArithmeticCritic(_says(text, *sure))(_sample(RIGHT), prompt=QUESTION)
    assert passed.outcome == "pass"
    assert passed.score == pytest.approx(0.905, abs=0.001)
    assert (await ArithmeticCritic(_says(text))(_sample(RIGHT), prompt=QUESTION)).score == 1
    differs = "37*8=296\n296+56=342\n2"
    failed = await ArithmeticCritic(_says(differs))(_sample(RIGHT), prompt=QUESTION)
    assert failed.outcome == "fail"
    assert failed.score < 0.1
    assert "`296+56=352`" in failed.feedback
    beyond = await ArithmeticCritic(_says("A:353\n9"))(_sample(RIGHT), prompt=QUESTION)
    assert "`37*8=296`" in beyond.feedback


async def test_a_draft_that_was_not_sure_enough_is_quoted_where_it_was_least_sure():
    text = f"{RIGHT}\nok"
    logprobs = [0.0] * len(text)
    logprobs[RIGHT.index("352")] = -2.0
    failed = await ArithmeticCritic(_says(text, *logprobs))(_sample(RIGHT), prompt=QUESTION)
    assert (failed.outcome, failed.evidence) == ("fail", ("296+56=352",))


@pytest.mark.parametrize("said", ["I can only do arithmetic.", "I", "A:352", "", "ok then"])
async def test_what_is_no_verdict_is_an_error(said):
    verdict = await ArithmeticCritic(_says(said))(_sample(RIGHT), prompt=QUESTION)
    assert verdict.outcome == "error"
    assert verdict.evidence


async def test_the_critic_refuses_bad_parameters():
    with pytest.raises(UsageError):
        ArithmeticCritic("model")
    with pytest.raises(ValueError, match="threshold"):
        ArithmeticCritic(_says("ok"), threshold=2)


async def test_nothing_to_check():
    for check in (ArithmeticCritic(_says("ok")), price_check(), countdown_check()):
        verdict = await check(_sample(RIGHT), prompt="Who are you?")
        assert verdict.outcome == "not_applicable"
    assert (await price_check()(_sample(RIGHT), prompt=QUESTION)).outcome == "not_applicable"


async def test_a_price_list_is_checked_against_the_list():
    check = price_check()
    right = "pear 34*3=102\nplum 56*2=112\n102+112=214\nA:214"
    assert (await check(_sample(right), prompt=PRICES)).outcome == "pass"
    messages = [{"role": "user", "content": PRICES}, {"role": "assistant", "content": right}]
    assert (await check(_sample(right), prompt=messages)).outcome == "pass"
    wrong = "pear 12*3=36\nplum 56*2=112\n36+112=148\nA:148"
    failed = await check(_sample(wrong), prompt=PRICES)
    assert failed.outcome == "fail"
    assert failed.feedback.startswith("Line 1: `pear 12*3=36`: the list says pear 34")
    assert failed.evidence == ("pear 12*3=36",)
    assert (check.exact, check.calls, check.role) == (True, 0, "tool")


async def test_a_countdown_is_checked_by_its_rules():
    check = countdown_check("6 25 3->147")
    good = await check(_sample("25*6=150\n150-3=147\nA:147"), prompt="whatever")
    assert good.outcome == "pass"
    failed = await check(_sample("25+6=31\n31*3=93\nA:93"), prompt="whatever")
    assert failed.outcome == "fail"
    assert "wanted is 147" in failed.feedback


async def test_a_text_without_lines_fails_an_exact_check():
    failed = await countdown_check()(_sample(""), prompt="6 25 3->147")
    assert (failed.outcome, failed.evidence) == ("fail", ())
