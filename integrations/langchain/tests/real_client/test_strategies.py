"""The other strategies over a real client: what a fault does to a check, a critique or a repair."""

from __future__ import annotations

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import RunnableVerifier, best_of_n, critique_repair, tool_check
from openai import InternalServerError

from thinktwice import Budget, Verdict

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


def is_12(message):
    """A check that says what is wrong."""
    if message.text == "12":
        return Verdict(outcome="pass")
    return Verdict(outcome="fail", feedback="3 * 4 is 12")


is_12.exact = True


def judged(prompt, number):
    """Answers alternate; the judge likes 12."""
    if prompt.startswith("judge"):
        return "0.9" if "12" in prompt else "0.1"
    return "12" if number % 2 else "13"


def judge(model):
    """A chain that scores an answer."""
    ask = RunnableLambda(lambda message: f"judge {message.text}")
    return RunnableVerifier(ask | model | StrOutputParser() | float)


async def test_best_of_n_with_a_judge(served, chat, call):
    """A request a sample, and one a verdict; the judge decides."""
    with served(judged) as server:
        model = chat(server)
        chain = best_of_n(model, n=4, verifier=judge(model), include_result=True)
        out = await call(chain, "3 * 4")
        assert len(server.log) == out["result"].ledger.total.calls
    assert out["value"].text == "12"
    roles = {role: total.calls for role, total in out["result"].ledger.by_role.items()}
    assert roles["sample"] == len(out["result"].samples)
    assert roles["verify"] == len(out["result"].verdicts)


@pytest.mark.parametrize("fault", ["500", "cut", "garbage"])
async def test_a_judge_that_fails_rejects_nothing(served, chat, call, fault):
    """Its verdict is an error, and its sample stands."""
    with served("12") as server, served("0.9", schedule={1: fault}, sticky=True) as judging:
        judge_chain = judge(chat(judging))
        chain = best_of_n(chat(server), n=3, verifier=judge_chain, include_result=True)
        out = await call(chain, "3 * 4")
        assert len(judging.log) == len(out["result"].verdicts)
    assert out["value"].text == "12"
    assert {verdict.outcome for verdict in out["result"].verdicts} == {"error"}


@pytest.mark.parametrize("door", [critique_repair, tool_check])
@pytest.mark.parametrize("fault", ["500", "cut", "garbage", "429"])
async def test_a_repair_that_fails_leaves_the_draft(served, chat, call, door, fault):
    """It was paid for, and is returned as what it is: unchecked or failed, and never lost."""
    with served("13", schedule={2: fault}, sticky=True, retry_after=None) as server:
        out = await call(door(chat(server), is_12, include_result=True), "3 * 4")
        asked = len(server.log)
    assert out["value"].text == "13"
    assert asked == out["result"].ledger.total.calls > 1
    assert "pass" not in {verdict.outcome for verdict in out["result"].verdicts}
    failed = [entry for entry in out["result"].ledger.entries if entry.status == "error"]
    assert len(failed) == asked - 1


@pytest.mark.parametrize("door", [critique_repair, tool_check])
async def test_a_repair(served, chat, call, door):
    """Two requests, the second of which has the feedback."""
    with served(lambda prompt, number: "13" if number == 1 else "12") as server:
        out = await call(door(chat(server), is_12, include_result=True), "3 * 4")
        assert len(server.log) == 2
    assert out["value"].text == "12"


@pytest.mark.parametrize("door", [critique_repair, tool_check])
async def test_a_first_draft_that_fails(served, chat, call, door):
    """The client's own exception arrives: there is nothing to repair."""
    with served("13", schedule={1: "500"}, sticky=True) as server:
        with pytest.raises(InternalServerError):
            await call(door(chat(server), is_12), "3 * 4")
        assert len(server.log) == 1


@pytest.mark.parametrize("door", [critique_repair, tool_check])
async def test_a_repair_that_hangs(served, chat, door, until):
    """The draft comes out when the time is up, and the connection is closed."""
    with served("13", schedule={2: "hang"}) as server:
        chain = door(chat(server), is_12, include_result=True, budget=Budget(seconds=1.5))
        out = await chain.ainvoke("3 * 4")
        await until(lambda: server.log[1].disconnected)
    assert out["value"].text == "13"
    assert out["result"].cut.kind == "seconds"
