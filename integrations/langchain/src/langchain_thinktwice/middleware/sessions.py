"""Sessions of agents' runs, and blocks of them in which callbacks book each model call."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.runnables.config import patch_config, var_child_runnable_config
from langchain_core.tracers.context import register_configure_hook
from langgraph.errors import GraphBubbleUp

from langchain_thinktwice.accounting.booking import books_here
from langchain_thinktwice.samples import keep_books_of_each, manager_of
from thinktwice.account import now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from langchain_core.runnables import RunnableConfig

    from langchain_thinktwice.accounting.booking import Bookkeeper
    from thinktwice.scope import Scope
    from thinktwice.session import Session

T = TypeVar("T")
Manager = type[AsyncCallbackManager] | type[CallbackManager]

_KEPT: Final = 256

register_configure_hook(books_here, inheritable=True)


class Sessions:
    """The runs under way, by name; of those that nobody ended the latest, as they may go on.

    A copy, also a deep or a pickled one, knows none of them.
    """

    def __init__(self) -> None:
        """Know none."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Session] = OrderedDict()

    def keep(self, run: str, session: Session) -> None:
        """Know a run that has begun."""
        with self._lock:
            self._put(run, session)

    def find(self, run: str, make: Callable[[], Session]) -> tuple[Session, bool]:
        """The session of a run, and whether it was there.

        Args:
            run: Its name.
            make: Makes one that was not.
        """
        with self._lock:
            session = self._kept.get(run)
            found = session is not None
            self._put(run, session := session or make())
            return session, found

    def drop(self, run: str) -> None:
        """Forget a run that has ended."""
        with self._lock:
            self._kept.pop(run, None)

    def __reduce__(self) -> tuple[type[Sessions], tuple[()]]:
        """Runs are of one process, and of one middleware."""
        return type(self), ()

    def _put(self, run: str, session: Session) -> None:
        self._kept[run] = session
        self._kept.move_to_end(run)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)[1].close()


class Attempt(Generic[T]):
    """Something that is run once, and how far it got.

    Attributes:
        value: What it returned, once it has.
    """

    def __init__(self, run: Callable[[], Awaitable[T]]) -> None:
        """Not yet."""
        self.value: T | None = None
        self._run = run
        self._began: float | None = None

    async def __call__(self) -> T:
        """Run it."""
        self._began = now()
        self.value = await self._run()
        return self.value

    @property
    def seconds(self) -> float | None:
        """Since it began; None if it has not."""
        return None if self._began is None else now() - self._began


async def worked(
    session: Session,
    kind: Manager,
    config: RunnableConfig,
    call: Callable[[], Awaitable[T]],
    *,
    slot: bool,
) -> T:
    """Run a block of a session, in which callbacks book each model call.

    Args:
        session: Whose block it is.
        kind: Callbacks as async code needs them, or as code on threads does.
        config: Of the block; the callbacks in it are replaced.
        call: The block.
        slot: It is a model call, and holds a place in the limiters.

    Raises:
        BudgetExceeded: A call did not fit, or time is up.
    """

    async def booked(scope: Scope) -> T:
        with _booking(scope, kind, config) as books:
            try:
                return await call()
            except asyncio.CancelledError as error:
                if kind is AsyncCallbackManager:
                    await books.end_cancelled(config["callbacks"], error)  # type: ignore[arg-type]
                raise

    recallable = kind is AsyncCallbackManager
    return await session.work(
        booked, slot=slot, recallable=recallable, passthrough=(GraphBubbleUp,)
    )


@contextmanager
def _booking(scope: Scope, kind: Manager, config: RunnableConfig) -> Generator[Bookkeeper]:
    """A block whose model calls are booked: by the callbacks of its config, ahead of others."""
    manager = manager_of(kind, config)
    books = keep_books_of_each(manager, otherwise=scope)
    config["callbacks"] = manager  # the tool node hands on this very dict
    here = books_here.set(books)
    token = var_child_runnable_config.set(patch_config(config, callbacks=manager))
    try:
        yield books
    finally:
        var_child_runnable_config.reset(token)
        books_here.reset(here)
