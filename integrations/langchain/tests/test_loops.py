"""Threads and event loops: many of both, mixed, left behind and interrupted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_thinktwice import vote

from thinktwice import AtMost, Limiter

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


def drawing(runnable, n, **settings):
    """A vote that launches all n at once, and no more however late they are."""
    return vote(runnable, n=n, stop=AtMost(n), prefer="latency", hedge=False, **settings)


@pytest.fixture
def threads_of_ours():
    """Those that calls are made on, without those that were there before the test."""
    before = set(threading.enumerate())
    return lambda: [
        each
        for each in threading.enumerate()
        if each.name.startswith("thinktwice") and each not in before
    ]


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - it is about threads
            await asyncio.sleep(0.01)


async def test_two_hundred_requests_on_one_loop(scripted):
    """All of them are answered, each by its own samples."""
    model = scripted(lambda request: request["text"], seconds=0.01)
    chain = drawing(model, 8, include_result=True)
    answers = await asyncio.gather(*(chain.ainvoke(str(i)) for i in range(200)))
    assert [answer["value"].text for answer in answers] == [str(i) for i in range(200)]
    assert {answer["result"].ledger.total.calls for answer in answers} == {8}
    assert Counter(request["text"] for request in model.log) == {str(i): 8 for i in range(200)}


async def test_no_request_starves_behind_a_shared_limiter(scripted):
    """Those that find no place take turns: nobody is more than one call ahead of another."""
    model = scripted(lambda request: request["text"], seconds=0.001)
    chain = drawing(model, 8, limiter=Limiter(16))
    await asyncio.gather(*(chain.ainvoke(str(i)) for i in range(40)))
    started = [request["text"] for request in model.log]
    waiting = set(started) - set(started[:16])
    counts = Counter(dict.fromkeys(waiting, 0))
    for each in started[16:]:
        counts[each] += 1
        ahead = [counts[other] for other in waiting]
        assert max(ahead) - min(ahead) <= 1
    assert len(waiting) >= 24
    assert model.most_in_flight == 16


async def test_a_blocking_batch_leaves_no_thread(scripted, threads_of_ours):
    """64 inputs of 8 samples; calls run on threads of their own, which end with them."""
    model = scripted(lambda request: request["text"])
    given = [str(i) for i in range(64)]
    answers = await asyncio.to_thread(drawing(model, 8).batch, given)
    assert [answer.text for answer in answers] == given
    assert model.calls == 64 * 8
    await until(lambda: not threads_of_ours())


async def test_abandoned_calls_end_by_themselves(scripted, threads_of_ours):
    """Their threads are there until the longest call has ended, and not after."""
    ended, decided = threading.Event(), threading.Event()

    def reply(request):
        if request["index"] == 2:
            decided.wait(60)
            ended.set()
        return "a"

    chain = vote(scripted(reply), n=3, prefer="latency")
    assert (await asyncio.to_thread(chain.invoke, "?")).text == "a"
    await until(lambda: len(threads_of_ours()) == 1)
    assert not ended.is_set()
    decided.set()
    await until(lambda: not threads_of_ours())
    assert ended.is_set()


def test_one_model_and_one_wrapper_on_many_threads_and_loops(scripted):
    """Half of the threads call `invoke`, half run a loop of their own: nobody gets another's."""
    model = scripted(lambda request: request["text"], seconds=0.001)
    chain = drawing(model, 3, include_result=True, limiter=Limiter(6))

    def work(i):
        given = str(i)
        if i % 2:
            outs = [chain.invoke(given) for _ in range(3)]
        else:
            outs = [asyncio.run(chain.ainvoke(given)) for _ in range(3)]
        assert {out["value"].text for out in outs} == {given}
        return sum(out["result"].ledger.total.calls for out in outs)

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(work, range(24))) == [9] * 24
    assert model.calls == 24 * 9
    assert model.most_in_flight <= 6


async def test_sync_inside_async(scripted):
    """`invoke` while this loop runs, as in a notebook, and after it as before it `ainvoke`."""
    chain = drawing(scripted("a"), 3)
    assert (await chain.ainvoke("?")).text == "a"
    assert chain.invoke("?").text == "a"
    assert (await chain.ainvoke("?")).text == "a"


async def test_parallel_branches(scripted, call):
    """Each is a run of its own."""
    model = scripted(lambda request: request["text"])
    both = RunnableParallel(a=drawing(model, 3), b=RunnableLambda(str.upper) | drawing(model, 2))
    out = await call(both, "x")
    assert (out["a"].text, out["b"].text) == ("x", "X")
    assert model.calls == 5


async def test_a_function_that_calls_the_wrapper(scripted, call):
    """In a chain, and without passing a config on: by the same way that the chain was called."""
    model = scripted("a")
    chain = drawing(model | StrOutputParser(), 3)

    async def later(given):
        return await chain.ainvoke(given)

    step = RunnableLambda(chain.invoke, afunc=later)
    assert await call(step | RunnableLambda(str.upper), "?") == "A"
    assert model.calls == 3


async def test_a_wrapper_called_by_a_function_inside_a_wrapper(scripted, call):
    """A blocking call inside an async sample blocks the loop, and not for good."""
    model = scripted("a")
    inner = drawing(model | StrOutputParser(), 2)
    outer = drawing(RunnableLambda(inner.invoke), 2, repeatable=True)
    assert await call(outer, "?") == "a"
    assert model.calls == 4


def test_asyncio_has_nothing_to_say_in_debug_mode(scripted, caplog):
    """No coroutine that nobody awaited, no call from another thread, no error that nobody saw."""

    def reply(request):
        if request["index"] % 3 == 0:
            raise ValueError
        return "a"

    async def main():
        asyncio.get_running_loop().slow_callback_duration = 60  # of a busy machine
        chain = vote(scripted(reply, seconds=0.001), n=8, prefer="latency", include_result=True)
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(chain.ainvoke("?"))
        task = asyncio.create_task(vote(scripted("a", seconds=30), n=4).ainvoke("?"))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main(), debug=True)
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


def test_on_uvloop(scripted):
    """Where it is installed."""
    uvloop = pytest.importorskip("uvloop")
    chain = drawing(scripted("a", seconds=0.001), 4)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(chain.ainvoke("?")).text == "a"
        assert chain.invoke("?").text == "a"


BEGIN = """
import asyncio, signal, threading, time
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import vote

slow = threading.Event()

def hang(given):
    slow.set()
    time.sleep(60)

def interrupt():
    slow.wait()
    time.sleep(0.5)  # until the main thread waits, which the signal then ends
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

def interrupted(work):
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        work()
    except KeyboardInterrupt:
        print("interrupted")
"""
ENDS = {
    "calls that were abandoned": """
first = threading.Lock()
def one(given):
    if not first.acquire(blocking=False):
        return "a"
    hang(given)
print(vote(RunnableLambda(one), n=3, prefer="latency").invoke("?"))
""",
    "a blocking call that is interrupted": """
interrupted(lambda: vote(RunnableLambda(hang), n=3).invoke("?"))
""",
    # As in a notebook. `asyncio.run` would only cancel its main task, which cannot hear of that.
    "a blocking call inside a loop that is interrupted": """
async def main():
    vote(RunnableLambda(hang), n=3).invoke("?")
loop = asyncio.new_event_loop()
interrupted(lambda: loop.run_until_complete(main()))
loop.close()
""",
    "an async call that is interrupted": """
async def ahang(given):
    slow.set()
    await asyncio.sleep(60)
chain = vote(RunnableLambda(hang, afunc=ahang), n=3)
interrupted(lambda: asyncio.run(chain.ainvoke("?")))
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_the_interpreter_exits_at_once(end):
    """Whatever is under way, and without a word."""
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own text
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", BEGIN + ENDS[end]],
        check=False,
        capture_output=True,
        text=True,
        timeout=59,
    )
    said = "a\n" if end == "calls that were abandoned" else "interrupted\n"
    assert (done.stdout, done.stderr, done.returncode) == (said, "", 0)
    assert time.monotonic() - started < 55  # and not the minute that a call takes
