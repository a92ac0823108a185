"""Copies of a LangGraph thread: a sample starts where the caller's thread is, and leaves it so."""

from __future__ import annotations

import secrets
from collections import defaultdict
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thinktwice.remarks import tell_once
from thinktwice.scope import current_scope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

MARK = ":thinktwice:"
"""In the id of each sample's thread, between the caller's and what tells samples apart."""

LEFT = (
    "a checkpointer could not delete the thread of a sample, which stays in its storage: its id "
    "contains ':thinktwice:'"
)


@dataclass(frozen=True)
class Thread:
    """A thread, and the one that a sample has in its place.

    Attributes:
        caller: Id of the caller's.
        own: Id of the sample's.
        checkpoint: Where in the caller's it starts; None for its end.
    """

    caller: str
    own: str
    checkpoint: str | None = None


@dataclass(frozen=True)
class Memory:
    """What graphs keep by thread.

    Attributes:
        saver: Their checkpointer; None if they have a store alone.
        chained: A checkpoint is not whole without those before it.
        nested: They have subgraphs, with checkpoints of their own while they are under way.
        lasting: Some subgraphs remember from one run to the next.
    """

    saver: BaseCheckpointSaver[Any] | None
    chained: bool = False
    nested: bool = False
    lasting: bool = False


def memories(graphs: Iterable[Any]) -> Sequence[Memory]:
    """What compiled graphs keep, each checkpointer once."""
    found: dict[int, Memory] = {}
    for graph in graphs:
        saver = graph.checkpointer or None
        if saver is None and graph.store is None:
            continue
        before = found.get(id(saver), Memory(saver))
        chained = any(type(each).__name__ == "DeltaChannel" for each in graph.channels.values())
        inside = [subgraph.checkpointer for _, subgraph in graph.get_subgraphs(recurse=True)]
        found[id(saver)] = Memory(
            saver,
            chained=before.chained or chained,
            nested=before.nested or bool(inside),
            lasting=before.lasting or True in inside,
        )
    return tuple(found.values())


def own_id(thread: object) -> str:
    """An id for a sample's thread: recognisable, and never used before."""
    scope = current_scope()
    own = secrets.token_hex(8) if scope is None else f"{scope.run}:{scope.path}"
    return f"{thread}{MARK}{own}"


@contextmanager
def copied(thread: Thread, memories: Sequence[Memory]) -> Generator[None]:
    """Give a sample its thread for a block: the caller's history, and gone when it ends."""
    savers = [memory.saver for memory in memories if memory.saver is not None]
    try:
        for memory in memories:
            _copy(thread, memory)
        yield
    finally:
        for saver in savers:
            try:
                saver.delete_thread(thread.own)
            except Exception:  # noqa: BLE001 - the sample is paid for, whatever stays behind
                tell_once(LEFT)


@asynccontextmanager
async def acopied(thread: Thread, memories: Sequence[Memory]) -> AsyncGenerator[None]:
    """`copied`, by the async methods of checkpointers."""
    savers = [memory.saver for memory in memories if memory.saver is not None]
    try:
        for memory in memories:
            await _acopy(thread, memory)
        yield
    finally:
        for saver in savers:
            try:
                await saver.adelete_thread(thread.own)
            except Exception:  # noqa: BLE001 - as above
                tell_once(LEFT)


def _copy(thread: Thread, memory: Memory) -> None:
    saver = memory.saver
    if saver is None or (last := saver.get_tuple(_at(thread.caller, thread.checkpoint))) is None:
        return
    kept = [last]
    if _takes_more(memory, last):
        kept = _needed(saver.list({"configurable": {"thread_id": thread.caller}}), last, memory)
    for each in kept:
        saver.put(_before(thread, each), each.checkpoint, each.metadata, _versions(each))
        for task, writes in _writes(each).items():
            saver.put_writes(_itself(thread, each), writes, task)


async def _acopy(thread: Thread, memory: Memory) -> None:
    saver = memory.saver
    if saver is None:
        return
    if (last := await saver.aget_tuple(_at(thread.caller, thread.checkpoint))) is None:
        return
    kept = [last]
    if _takes_more(memory, last):
        listed = saver.alist({"configurable": {"thread_id": thread.caller}})
        kept = _needed([each async for each in listed], last, memory)
    for each in kept:
        await saver.aput(_before(thread, each), each.checkpoint, each.metadata, _versions(each))
        for task, writes in _writes(each).items():
            await saver.aput_writes(_itself(thread, each), writes, task)


def _takes_more(memory: Memory, last: CheckpointTuple) -> bool:
    """More than the last checkpoint: those it builds on, or those of subgraphs."""
    return memory.chained or memory.lasting or (memory.nested and _is_interrupted(last))


def _is_interrupted(last: CheckpointTuple) -> bool:
    return any(channel == "__interrupt__" for _, channel, _ in last.pending_writes or ())


def _needed(
    listed: Iterable[CheckpointTuple], last: CheckpointTuple, memory: Memory
) -> list[CheckpointTuple]:
    """The checkpoints to copy, oldest first; checkpoint ids sort by time."""
    kept: list[CheckpointTuple] = [last]
    latest: set[str] = {""}
    for each in sorted(listed, key=lambda one: one.checkpoint["id"], reverse=True):
        namespace, is_older = _namespace(each), each.checkpoint["id"] < last.checkpoint["id"]
        if (memory.chained and is_older) or namespace not in latest:
            kept.append(each)
        latest.add(namespace)
    return kept[::-1]


def _namespace(each: CheckpointTuple) -> str:
    return each.config.get("configurable", {}).get("checkpoint_ns", "")


def _versions(each: CheckpointTuple) -> Any:  # noqa: ANN401 - LangGraph's own type
    return each.checkpoint["channel_versions"]


def _at(thread: str, checkpoint: str | None, namespace: str = "") -> RunnableConfig:
    place = {"thread_id": thread, "checkpoint_ns": namespace}
    return {"configurable": place if checkpoint is None else {**place, "checkpoint_id": checkpoint}}


def _before(thread: Thread, each: CheckpointTuple) -> RunnableConfig:
    """Where a checkpoint goes: behind the one that it was made from."""
    parent = (each.parent_config or {}).get("configurable", {})
    return _at(thread.own, parent.get("checkpoint_id"), _namespace(each))


def _itself(thread: Thread, each: CheckpointTuple) -> RunnableConfig:
    return _at(thread.own, each.checkpoint["id"], _namespace(each))


def _writes(each: CheckpointTuple) -> dict[str, list[tuple[str, Any]]]:
    """What tasks of its step have written already, by task."""
    found: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
    for task, channel, value in each.pending_writes or ():
        found[task].append((channel, value))
    return found
