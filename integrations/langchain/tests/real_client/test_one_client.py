"""One cached client for all: again and again, and from many threads.

`make bench-langchain` asks it a thousand times.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


def failures(out):
    """Errors of the samples."""
    return [sample.error for sample in out["result"].samples if sample.error is not None]


def test_blocking_calls_again_and_again(served, chat, drawing):
    """No loop of a call before is asked for anything: none is closed under a client."""
    with served() as server:
        chain = drawing(chat(server), 2)
        for _ in range(100):
            assert not failures(chain.invoke("2 + 2"))
        assert len(server.log) == 200
        assert not any(record.disconnected for record in server.log)


async def test_blocking_calls_inside_a_loop(served, chat, drawing):
    """Beside async ones of the same client, on the same loop throughout."""
    with served() as server:
        chain = drawing(chat(server), 2)
        for _ in range(5):
            assert not failures(await chain.ainvoke("2 + 2"))
            assert not failures(chain.invoke("2 + 2"))
        assert len(server.log) == 20


def test_many_threads(served, chat, drawing):
    """They share the client's connections."""
    with served(lambda prompt, number: prompt) as server:
        chain = drawing(chat(server), 2)
        with ThreadPoolExecutor(8) as pool:
            outs = list(pool.map(chain.invoke, map(str, range(40))))
        assert len(server.log) == 80
    assert [out["value"].text for out in outs] == [str(i) for i in range(40)]
    assert not any(map(failures, outs))


def test_a_batch(served, chat, drawing):
    """Of 16 inputs and 4 samples."""
    with served(lambda prompt, number: prompt) as server:
        outs = drawing(chat(server), 4).batch([str(i) for i in range(16)])
        assert len(server.log) == 64
    assert [out["value"].text for out in outs] == [str(i) for i in range(16)]
