"""The shipped model with skills, at every door."""

from __future__ import annotations

import asyncio

import pytest

from arithmetic_lm import ArithmeticSampler, ArithmeticValue
from arithmetic_lm.__main__ import main
from arithmetic_lm.asking import REFUSAL, Turn, check_prompt
from arithmetic_lm.assistant import Assistant
from arithmetic_lm.bench import measure, rows
from arithmetic_lm.engine import Engine, name_of, shared_engine, size_of
from arithmetic_lm.model import load_model
from arithmetic_lm.options import Options
from arithmetic_lm.problems import ALL_FAMILIES, final_answer, problems, settled, work
from arithmetic_lm.skill_bench import are_sound, auc, measure_skills, share

pytestmark = pytest.mark.anyio

QUESTION = "What is 37*8+56?"
RIGHT = "37*8=296\n296+56=352\nA:352"
WRONG = "37*8=297\n297+56=353\nA:353"
SUMS = tuple(name for name in ALL_FAMILIES if name != "countdown")


@pytest.fixture(scope="module")
def skilled() -> Engine:
    return shared_engine("skilled")


@pytest.fixture
def assistant(skilled) -> Assistant:
    return Assistant(skilled)


def test_models_have_two_names():
    assert name_of("small") == "arithmetic-lm"
    assert size_of("arithmetic-lm-skilled") == size_of("skilled") == "skilled"
    assert Assistant(model="tiny").name == ArithmeticSampler(model="tiny").model
    assert shared_engine() is shared_engine("small")
    with pytest.raises(ValueError, match="no model 'gpt'"):
        ArithmeticSampler(model="gpt")


def test_the_default_is_still_small():
    assert ArithmeticSampler().model == "arithmetic-lm"
    assert load_model("small").shape.context == 72


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("size", ["skilled", "tiny"])
def test_both_models_know_every_family(size, family):
    """Of some questions each, they get some right with a few samples."""
    engine = shared_engine(size)
    measured = measure(engine, 12, 8, families=(family,))
    assert sum(question.some_right > 0 for question in measured) >= 2


async def test_natural_prompts(assistant):
    prompts = (
        QUESTION,
        "Prices: fig 12, pear 34, plum 56. What do 3 pears and 2 plums cost?",
        "Use 6, 25 and 3 to make 147.",
    )
    for prompt in prompts:
        assert final_answer((await assistant.reply(prompt, Options(seed=1))).text) is not None
    assert (await assistant.reply("Who are you?")).text == REFUSAL


async def test_efforts_write_more_or_less(assistant):
    lengths = []
    for effort in ("low", "medium", "high"):
        reply = await assistant.reply(QUESTION, Options(seed=1, effort=effort))
        assert final_answer(settled(reply.text)) is not None
        lengths.append(reply.output_tokens)
        assert ("?" in reply.text) == (effort == "high")
    assert lengths[0] < lengths[1] < lengths[2]


async def test_a_countdown_is_worked_out_at_every_effort(assistant):
    reply = await assistant.reply("Use 6, 25 and 3 to make 147.", Options(seed=1, effort="low"))
    assert "=" in reply.text


def test_models_without_efforts_refuse_them():
    with pytest.raises(ValueError, match="knows no effort but medium"):
        ArithmeticSampler(effort="low")
    with pytest.raises(ValueError, match="knows no effort but medium"):
        Assistant(model="tiny").reply_sync(QUESTION, Options(effort="high"))
    with pytest.raises(ValueError, match="effort must be"):
        Options(effort="extreme")


async def test_feedback_makes_a_new_draft_in_both_forms(skilled):
    prompting = pytest.importorskip("thinktwice.prompting")
    sampler = ArithmeticSampler(engine=skilled)
    text = prompting.TextPrompting().revise(QUESTION, WRONG, "Line 1: 37*8 is not 297.")
    chat = prompting.MessagesPrompting().revise(
        [{"role": "user", "content": QUESTION}], WRONG, "Line 1: 37*8 is not 297."
    )
    options = {"seed": 3}
    one, two = await sampler(text, options=options), await sampler(chat, options=options)
    assert one.text == two.text
    assert one.usage.input_tokens == len(f"37*8+56=\n{WRONG}\n!1\n") + 1
    told = Turn("user", QUESTION), Turn("assistant", WRONG), Turn("user", "Line 1 is wrong")
    assert Assistant(skilled).reply_sync(told, Options(seed=3)).text == one.text


async def test_most_wrong_drafts_are_mended_by_true_feedback(assistant):
    """A slip in the first line of drafts the model has not written: not even its own."""
    asked = problems(20, families=("product", "products"))
    right = 0
    for problem in asked:
        slipped = work(problem.question, calculate=lambda a, s, b: eval(f"{a}{s}{b}") + 1)
        told = Turn("user", problem.question), Turn("assistant", "\n".join(slipped))
        reply = await assistant.reply([*told, Turn("user", "Line 1 is wrong.")], Options(seed=1))
        right += problem.is_right(final_answer(reply.text))
    assert right >= 7


async def test_a_draft_that_cannot_be_read(assistant):
    draft = "I think: 352!\nA:352"
    told = Turn("user", QUESTION), Turn("assistant", draft), Turn("user", "Line 1 is wrong")
    assert final_answer((await assistant.reply(told, Options(seed=1))).text) is not None
    assert (await assistant.reply(check_prompt(QUESTION, "Ask me \u00e9!"))).text == REFUSAL


async def test_a_draft_that_is_too_long_is_refused(assistant):
    long = "\n".join(["37*8=296"] * 40)
    assert (await assistant.reply(check_prompt(QUESTION, long))).text == REFUSAL


async def test_a_check_names_a_line_or_says_ok(assistant):
    for temperature in (0.0, 0.8):
        options = Options(temperature=temperature, seed=1)
        for draft in (RIGHT, WRONG):
            reply = await assistant.reply(check_prompt(QUESTION, draft), options)
            *again, verdict = reply.text.splitlines()
            assert verdict in {"ok", "1", "2", "3"}
            assert again[0].startswith("37*8=")


async def test_a_check_is_surer_of_right_drafts(skilled):
    report = await asyncio.to_thread(measure_skills, skilled, 28, 4, seed=5)
    assert 0.6 < report.check.auc.mean < 0.95
    assert report.revise.mended.mean > 0.25
    assert report.efforts["low"].accuracy.mean < report.efforts["medium"].accuracy.mean
    assert report.efforts["low"].tokens < report.efforts["medium"].tokens
    assert report.steps.mean > 0.5
    assert len(report.lines()) == 9


async def test_values_of_lines_are_probabilities(skilled):
    value = ArithmeticValue()
    right, wrong = await value(QUESTION, RIGHT.splitlines()), await value(QUESTION, ["37*8=999"])
    assert len(right) == 3
    assert all(0 <= each <= 1 for each in (*right, *wrong))
    assert wrong[0] < right[0]
    assert await value(QUESTION, []) == []
    with pytest.raises(ValueError, match="no question"):
        await value("Hello", ["1"])
    with pytest.raises(ValueError, match="cannot read"):
        await value(QUESTION, ["\u00e9"])
    with pytest.raises(ValueError, match="context"):
        await value(QUESTION, ["37*8=296"] * 60)
    with pytest.raises(ValueError, match="no value head"):
        ArithmeticValue(load_model("small"))


def test_countdowns_are_found_by_many_samples():
    """Finding is hard for one sample; the check is exact."""
    (row, *_) = rows(measure(shared_engine("skilled"), 16, 16, families=("countdown",)))
    assert row.pass_1 + 0.1 < row.pass_16


def test_soundness_of_a_countdown_is_what_can_still_be_reached():
    assert are_sound("6 25 3->147", "25*6=150\n150-3=147\nA:147") == [True, True, True]
    assert are_sound("6 25 3->147", "6-3=3\n25+3=28\nA:28") == [False, False, False]
    assert are_sound("37*8+56", "37*8=296\n296+56=353\nA:353") == [True, False, False]


def test_auc_and_shares():
    assert auc([0.9, 0.5], [0.1, 0.5]) == (1 + 1 + 1 + 0.5) / 4
    found = share([[1.0, 0.0], [1.0], []])
    assert (found.mean, found.cases) == (pytest.approx(2 / 3), 3)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert share([[1.0, 0.0], [1.0]], weigh_groups=True).mean == 0.75
    assert share([]).cases == 0


def test_command_line(capsys):
    assert main(["ask", QUESTION, "--model", "skilled", "--effort", "low", "--seed", "1"]) == 0
    assert capsys.readouterr().out.startswith("A:")
    assert main(["bench", "--skills", "--questions", "7", "--samples", "2"]) == 0
    assert "within-question AUC" in capsys.readouterr().out
    assert main(["bench", "--model", "tiny", "--questions", "7", "--samples", "2"]) == 0
    assert "countdown" in capsys.readouterr().out
