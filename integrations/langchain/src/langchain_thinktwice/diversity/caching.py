"""A cache of model calls that keeps entries for each sample."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary

from langchain_core.caches import BaseCache
from langchain_core.outputs import ChatGeneration

from thinktwice import UsageError
from thinktwice.errors import TypeOf
from thinktwice.scope import current_scope
from thinktwice.verifiers.material import uncoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.outputs import Generation

    from thinktwice.scope import Scope

_MARK: Final = "---thinktwice:"
_METADATA: Final = ("usage_metadata", "response_metadata")


class SampleKeyedCache(BaseCache):
    """A cache in which each sample of a request has entries of its own, around any other cache.

    With a plain cache all samples of a request get the answer of the first. With this one, a
    request that is repeated gets the samples that it got before, and pays for those alone that are
    new, because a larger n asks for them or an early stop had recalled them.

    A key is that of the inner cache with the place of the call in its request behind it: index of
    the sample, check, nested run, and how many calls of the same prompt were answered there before,
    so that a retry does not get the answer again that it is made for. Outside of a run this is the
    inner cache.

    Attributes:
        inner: Where entries are kept.
    """

    def __init__(self, inner: BaseCache) -> None:
        """Keep entries in another cache.

        Args:
            inner: Any cache; the place of a call is part of the `llm_string` that it gets.

        Raises:
            UsageError: It is no cache.
        """
        if not isinstance(inner, BaseCache):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError("inner", TypeOf(inner), "give a cache such as InMemoryCache()")
        self.inner = inner
        self._calls: WeakKeyDictionary[Scope, dict[tuple[str, ...], _Calls]] = WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        """Without the calls of requests under way, which a copy is not part of."""
        return {name: value for name, value in vars(self).items() if name != "_calls"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As made, with no request under way."""
        vars(self).update(state, _calls=WeakKeyDictionary())

    def __repr__(self) -> str:
        """The constructor."""
        return f"SampleKeyedCache({self.inner!r})"

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """What the call got when its request was made before; None if it has not been answered."""
        if (scope := current_scope()) is None:
            return _copied(self.inner.lookup(prompt, llm_string))
        prompt = _known_again(prompt)
        calls = self._calls_of(scope, prompt, llm_string)
        found = _copied(self.inner.lookup(prompt, calls.key(number := calls.begin())))
        if found is None:
            calls.missed.append(number)
            return None
        scope.set_apart()
        if _is_unseen(found) and not _in_loop():
            scope.book_from_thread().settle(cached=True)
        return found

    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """As `lookup`."""
        if (scope := current_scope()) is None:
            return _copied(await self.inner.alookup(prompt, llm_string))
        prompt = _known_again(prompt)
        calls = self._calls_of(scope, prompt, llm_string)
        found = _copied(await self.inner.alookup(prompt, calls.key(number := calls.begin())))
        if found is None:
            calls.missed.append(number)
            return None
        scope.set_apart()
        if _is_unseen(found):
            (await scope.book()).settle(cached=True)
        return found

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep the answer of a call."""
        if (scope := current_scope()) is not None:
            prompt = _known_again(prompt)
            llm_string = self._calls_of(scope, prompt, llm_string).answered()
        self.inner.update(prompt, llm_string, return_val)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """As `update`."""
        if (scope := current_scope()) is not None:
            prompt = _known_again(prompt)
            llm_string = self._calls_of(scope, prompt, llm_string).answered()
        await self.inner.aupdate(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:
        """Clear the inner cache."""
        self.inner.clear(**kwargs)

    async def aclear(self, **kwargs: Any) -> None:
        """As `clear`."""
        await self.inner.aclear(**kwargs)

    def _calls_of(self, scope: Scope, prompt: str, llm_string: str) -> _Calls:
        key = prompt, f"{llm_string}{_MARK}{scope.path}"
        return self._calls.setdefault(scope, {}).setdefault(key, _Calls(key[1]))


class _Calls:
    """Calls of one sample or check with the same prompt and settings.

    Attributes:
        missed: Numbers of those that were not in the cache and are not answered yet. The next
            answer is kept under the first of them, so that an attempt that failed leaves no gap.
    """

    def __init__(self, llm_string: str) -> None:
        self.missed: deque[int] = deque()
        self._llm_string = llm_string
        self._numbers = count()

    def begin(self) -> int:
        return next(self._numbers)

    def key(self, number: int) -> str:
        return f"{self._llm_string}+{number}" if number else self._llm_string

    def answered(self) -> str:
        return self.key(self.missed.popleft() if self.missed else self.begin())


def _known_again(prompt: str) -> str:
    """A prompt without what is another in each run and changes no answer.

    A judge's prompt has a code that is new each time; a message that came from the cache has other
    metadata than when it came from the model.
    """
    prompt = uncoded(prompt)
    if not any(f'"{name}"' in prompt for name in _METADATA):
        return prompt
    try:
        messages: object = json.loads(prompt)
    except ValueError:  # a text that is none of LangChain's
        return prompt
    for message in cast("list[object]", messages) if isinstance(messages, list) else ():
        fields: object = message.get("kwargs") if isinstance(message, dict) else None
        for name in _METADATA if isinstance(fields, dict) else ():
            fields.pop(name, None)
    return json.dumps(messages)


def _copied(found: Sequence[Generation] | None) -> list[Generation] | None:
    """Copies: LangChain marks what it gets as free of charge, in place."""
    return None if found is None else [each.model_copy() for each in found]


def _is_unseen(found: Sequence[Generation]) -> bool:
    """It answers a text model, which tells no callback of a call that its cache answered."""
    return not any(isinstance(each, ChatGeneration) for each in found)


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
