"""The comparison with peers: what its server serves and counts, and how it takes a missing peer."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from pathlib import Path

import aiohttp
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench" / "peers"))  # scripts, no package

import recordings
import replay
import report
from arms import HAND, Arm, Peer
from drive import Runner, Scenario
from measure import Row, measured
from recordings import Question, Sample
from replay import Replay, ReplayServer, Weather
from runner import answer_of

sys.path.pop(0)

SAMPLES = tuple(
    Sample(text=f"text {i}", answer=str(i % 3), tokens=4, right=i % 3 == 0, score=None)
    for i in range(20)
)
LONG = Sample(text="long", answer="1", tokens=4000, right=True, score=None)
QUESTIONS = tuple(Question(f"[{number}] why?", SAMPLES) for number in range(3))


async def post(url: str, prompt: str = "[1] why?", **body: object) -> dict:
    """One request; the choices and the usage of the reply."""
    asked = {"model": "replay", "messages": [{"role": "user", "content": prompt}], **body}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as client,
        client.post(f"{url}/chat/completions", json=asked) as response,
    ):
        return json.loads(await response.text())


def texts(reply: dict) -> list[str]:
    return [choice["message"]["content"] for choice in reply["choices"]]


async def test_all_runs_are_served_the_same_samples():
    """One by one or n at a time, and whatever the other questions take."""
    runs = Replay(QUESTIONS), Replay(QUESTIONS)
    async with ReplayServer() as server:
        first, second = map(server.open, runs)
        one_by_one = [text for _ in range(3) for text in texts(await post(first))]
        await post(second, "[2] why?")
        assert texts(await post(second, n=3)) == one_by_one
    assert one_by_one == [sample.reply for sample in SAMPLES[:3]]
    assert (runs[0].counts[1].requests, runs[0].counts[1].samples) == (3, 3)
    assert (runs[1].counts[1].requests, runs[1].counts[1].samples) == (1, 3)


async def test_a_prompt_is_paid_for_once_a_request():
    """Usage and count agree."""
    run = Replay(QUESTIONS)
    async with ReplayServer() as server:
        reply = await post(server.open(run), n=3)
    read = len("[1] why?") // 4
    assert reply["usage"] == {
        "prompt_tokens": read,
        "completion_tokens": 12,
        "total_tokens": read + 12,
    }
    assert (run.counts[1].prompt_tokens, run.counts[1].output_tokens) == (read, 12)


async def test_a_client_that_goes_pays_for_what_was_written():
    """It is counted, and so is the most that were in flight."""
    run = Replay((Question("[0] why?", (LONG,)),))
    async with ReplayServer() as server:
        url = server.open(run)
        tasks = [asyncio.ensure_future(post(url, "[0] why?")) for _ in range(2)]
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        async with asyncio.timeout(10):
            while run.counts[0].flying:  # noqa: ASYNC110 - it depends on sockets
                await asyncio.sleep(0.005)
    count = run.counts[0]
    assert (count.disconnected, count.peak) == (2, 2)
    assert 0 < count.output_tokens < 2 * LONG.tokens


async def test_a_prompt_with_named_fields_gets_them():
    """So that DSPy can read the reply."""
    async with ReplayServer() as server:
        url = server.open(Replay(QUESTIONS))
        (text,) = texts(await post(url, "[1] why?\n[[ ## answer ## ]]"))
    assert text.startswith("[[ ## reasoning ## ]]\ntext 0\n\n[[ ## answer ## ]]\n0\n")


@pytest.mark.parametrize("fault", ["500", "429", "garbage"])
async def test_faults(fault: str):
    """A refusal costs nothing; a reply that cannot be read is paid for."""
    run = Replay(QUESTIONS, Weather(fault=fault, share=1.0))
    kind = json.JSONDecodeError if fault == "garbage" else aiohttp.ClientResponseError
    async with ReplayServer() as server:
        with pytest.raises(kind) as caught:
            await post(server.open(run))
    assert run.counts[1].faults == 1
    assert (run.counts[1].output_tokens > 0) == (fault == "garbage")
    if fault == "429":
        assert caught.value.headers["Retry-After"] == str(replay.RETRY_AFTER)


def test_the_weather_is_the_same_for_all():
    """It depends on the seed, the question and the number of the request, and has its shares."""
    weather = Weather(stragglers=0.2, fault="hang", share=0.1)
    drawn = [weather.of(question, number) for question in range(50) for number in range(20)]
    again = [weather.of(question, number) for question in range(50) for number in range(20)]
    assert drawn == again
    assert 150 < sum(late > 0 for late, _ in drawn) < 250
    assert 60 < sum(fault == "hang" for _, fault in drawn) < 140


@pytest.mark.parametrize("sample", [SAMPLES[1], Sample("none", None, 1, right=False, score=None)])
def test_the_answer_can_be_read_from_the_reply(sample: Sample):
    """Where there is none, nothing is read."""
    assert answer_of(sample.reply) == sample.answer


async def test_a_peer_that_is_not_installed_is_a_row(tmp_path: Path):
    """With the reason; the table and the file take it."""
    arm = Arm(Peer("gone", ".venv-peer-gone", "run_gone.py", "gone"), "vote")
    async with ReplayServer() as server:
        runner = Runner(arm, server)
        async with runner:
            rows, odd = await measured(Scenario("SVAMP", "clean", QUESTIONS), [runner])
    assert rows[0].note == "not installed: run make bench-peers"
    assert odd == []
    head, _, line = report.clean(rows).splitlines()
    assert head.count("|") == line.count("|")
    report.write_csv(tmp_path / "rows.csv", rows)
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["note"] == rows[0].note


def row(pool: str, arm: str, scenario: str = "clean", **figures: float) -> Row:
    return Row(pool, scenario, "peer", arm, 5, **figures)


def test_the_mean_is_of_arms_that_all_pools_had():
    """Each pool has equal weight; the most in flight is the most."""
    rows = [
        row("A", "vote", usd=1.0, seconds=0.2, peak=3),
        row("A", "best", usd=9.0),
        row("B", "vote", usd=2.0, seconds=0.4, peak=2),
    ]
    (mean,) = report.mean(rows)
    assert (mean.arm, mean.usd, mean.seconds, mean.peak) == (
        "vote",
        1.5,
        pytest.approx(0.3),
        3,
    )


def test_faults_stand_side_by_side():
    """A line for each arm, a column for each fault; an arm may miss one."""
    rows = [
        row("A", "vote", "500", answered=100.0, seconds=0.5),
        row("A", "vote", "hang", answered=40.0, seconds=10.0),
        row("A", "single", "hang", answered=90.0, seconds=1.0),
    ]
    assert report.rough(rows).splitlines() == [
        "| peer | arm | 500 | hang |",
        "|---|---|---|---|",
        "| peer | vote | 100 %, 0.50 s | 40 %, 10.00 s |",
        "| peer | single |  | 90 %, 1.00 s |",
    ]


def test_a_table_is_put_between_its_marks(tmp_path: Path):
    """The rest of the page stays, and a page without the marks is left alone."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- mean -->\nold\n<!-- end of mean -->\nb\n")
    report.fill(page, "mean", "| new |")
    report.fill(page, "other", "| lost |")
    assert page.read_text() == "a\n<!-- mean -->\n\n| new |\n\n<!-- end of mean -->\nb\n"


@pytest.mark.slow
async def test_an_arm_is_measured():
    """The vote by hand over three questions, of which two warm it up; then over the same again."""
    scenario = Scenario("SVAMP", "clean", QUESTIONS)
    async with ReplayServer() as server, Runner(Arm(HAND, "gather 16"), server) as runner:
        (first,), odd = await measured(scenario, [runner])
        runner.arm = Arm(HAND, "gather 16", samples=(1, 2))
        (again,), too_many = await measured(scenario, [runner])
    assert (first.questions, first.requests, first.samples) == (1, 16, 16)
    assert 1 < first.peak <= 16  # all at once, but the first may have ended before the last begin
    assert (first.right, first.answered, first.note) == (100, 100, "")
    assert first.usd == pytest.approx((32 * 0.15 + 64 * 0.60) / 1000)
    assert again.samples == 16
    assert odd == []
    assert too_many == [
        "by hand: gather 16: 1 questions, the first: 16 samples in 16 requests, None"
    ]


@pytest.mark.parametrize("pool", recordings.POOLS)
def test_recorded_questions(pool: str):
    """Every sample can be graded by its text, and the order depends on the seed."""
    if not recordings.path_of(pool).exists():
        pytest.skip("needs recorded samples: set THINKTWICE_DATA")
    questions = recordings.load(pool, 5, seed=0)
    assert questions == recordings.load(pool, 5, seed=0) != recordings.load(pool, 5, seed=1)
    for question in questions:
        assert len(question.samples) >= 16
        grades = {sample.reply: sample.right for sample in question.samples}
        assert all(grades[sample.reply] == sample.right for sample in question.samples)
        assert all(answer_of(sample.reply) == sample.answer for sample in question.samples)
