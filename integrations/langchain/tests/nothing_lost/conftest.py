"""Every door, and every way to call what comes out of it."""

from __future__ import annotations

import asyncio
from functools import partial, reduce
from itertools import cycle
from operator import add
from typing import Any

import pytest
from langchain_core.runnables import RunnablePassthrough
from langchain_thinktwice import best_of_n, critique_repair, tool_check, vote, with_strategy

from thinktwice import AtMost, Vote


def _fair(value: object) -> float:
    return 0.5


def _fine(value: object) -> bool:
    return True


def _critique(runnable: Any, **settings: Any) -> Any:
    return critique_repair(runnable, _fine, **settings)


def _checked(runnable: Any, **settings: Any) -> Any:
    return tool_check(runnable, _fine, **settings)


DOORS: dict[str, Any] = {
    "vote": partial(vote, n=3, stop=AtMost(3)),
    "best_of_n": partial(best_of_n, n=3, verifier=_fair),
    "critique_repair": _critique,
    "tool_check": _checked,
    "with_strategy": partial(with_strategy, strategy=Vote(3, stop=AtMost(3))),
}
"""Each makes a wrapper of a Runnable; one sample of three that are alike is enough for all."""


async def _invoke(runnable: Any, given: Any, config: Any = None) -> Any:
    return await asyncio.to_thread(runnable.invoke, given, config)


async def _invoke_in_a_loop(runnable: Any, given: Any, config: Any = None) -> Any:
    return runnable.invoke(given, config)


async def _ainvoke(runnable: Any, given: Any, config: Any = None) -> Any:
    return await runnable.ainvoke(given, config)


async def _batch(runnable: Any, given: Any, config: Any = None) -> Any:
    [value] = await asyncio.to_thread(runnable.batch, [given], config)
    return value


async def _abatch(runnable: Any, given: Any, config: Any = None) -> Any:
    [value] = await runnable.abatch([given], config)
    return value


async def _batch_as_completed(runnable: Any, given: Any, config: Any = None) -> Any:
    [(_, value)] = await asyncio.to_thread(
        lambda: list(runnable.batch_as_completed([given], config))
    )
    return value


async def _abatch_as_completed(runnable: Any, given: Any, config: Any = None) -> Any:
    [(_, value)] = [each async for each in runnable.abatch_as_completed([given], config)]
    return value


async def _stream(runnable: Any, given: Any, config: Any = None) -> Any:
    return reduce(add, await asyncio.to_thread(lambda: list(runnable.stream(given, config))))


async def _astream(runnable: Any, given: Any, config: Any = None) -> Any:
    return reduce(add, [each async for each in runnable.astream(given, config)])


async def _transform(runnable: Any, given: Any, config: Any = None) -> Any:
    return await _stream(RunnablePassthrough() | runnable | RunnablePassthrough(), given, config)


async def _atransform(runnable: Any, given: Any, config: Any = None) -> Any:
    return await _astream(RunnablePassthrough() | runnable | RunnablePassthrough(), given, config)


async def _astream_events(runnable: Any, given: Any, config: Any = None) -> Any:
    events = [event async for event in runnable.astream_events(given, config)]
    return events[-1]["data"]["output"]


STYLES = {
    "invoke": _invoke,
    "invoke in a loop": _invoke_in_a_loop,
    "ainvoke": _ainvoke,
    "batch": _batch,
    "abatch": _abatch,
    "batch_as_completed": _batch_as_completed,
    "abatch_as_completed": _abatch_as_completed,
    "stream": _stream,
    "astream": _astream,
    "transform": _transform,
    "atransform": _atransform,
    "astream_events": _astream_events,
}
"""Each calls a Runnable once and returns what came out of it."""


WAYS = list(zip(cycle(DOORS), STYLES, strict=False))
"""Each style and each door, where not all pairs of them are told apart."""


@pytest.fixture(params=WAYS, ids=" by ".join)
def way(request):
    """A door, and a way to call what it makes."""
    door, style = request.param
    return DOORS[door], STYLES[style]


@pytest.fixture(params=DOORS)
def door(request):
    """Makes a wrapper: each of the doors in turn."""
    return DOORS[request.param]


@pytest.fixture(params=STYLES)
def style(request):
    """Calls a Runnable: each of the ways in turn."""
    return STYLES[request.param]
