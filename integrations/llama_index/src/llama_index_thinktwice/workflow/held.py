"""The context of a step, as a sample of it may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thinktwice import UsageError

if TYPE_CHECKING:
    from llama_index.core.workflow import Context, Event

_READ: Final = frozenset({"get", "get_state"})
_REMEDY: Final = (
    "every sample would do it: return what is needed in the event, and do it in the next step; or "
    "give sampled(..., repeatable=True) if doing it many times does no harm"
)


class HeldContext:
    """Reads as the `Context` of a step does, and holds back what others would see.

    Attributes:
        store: Of the context, to be read from.
    """

    def __init__(self, context: Context) -> None:
        """Stand in for a context."""
        self._context = context
        self._kept: list[tuple[str, tuple[Any, ...]]] = []
        self.store = _Readable(context.store)

    def write_event_to_stream(self, ev: Event | None) -> None:
        """Hold an event back, for the stream."""
        self._kept.append(("write_event_to_stream", (ev,)))

    def send_event(self, message: Event, step: str | None = None) -> None:
        """Hold an event back, for other steps."""
        self._kept.append(("send_event", (message, step)))

    def release(self) -> None:
        """Let out what was held back, in order."""
        for method, given in self._kept:
            getattr(self._context, method)(*given)
        self._kept.clear()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the context has
        """Refuse all else.

        Raises:
            UsageError: Samples cannot share it.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        raise UsageError("ctx", name, _REMEDY)


class _Readable:
    """A store that nobody writes to."""

    def __init__(self, store: object) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name in _READ:
            return getattr(self._store, name)
        if name.startswith("__"):
            raise AttributeError(name)
        raise UsageError("ctx", f"store.{name}", _REMEDY)
