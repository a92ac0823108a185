"""One shape for every callable that can be sampled."""

from __future__ import annotations

import functools
import threading
from unittest.mock import AsyncMock

import pytest

from thinktwice import Completion, UsageError
from thinktwice.sampling import as_completion, as_source, as_sources


async def plain(prompt):
    return f"plain {prompt}"


async def keyword(prompt, /, *, options):
    return f"{prompt} at {options['temperature']}"


async def named(prompt, options):
    return f"{prompt} at {options['temperature']}"


async def positional(prompt, settings, /):
    return f"{prompt} at {settings['temperature']}"


async def both_positional(prompt, options, /):
    return f"{prompt} at {options['temperature']}"


async def optional(prompt, temperature=1.0):
    return f"plain {prompt}"


class Callable:
    async def __call__(self, prompt, /, *, options):
        return f"{prompt} at {options['temperature']}"

    def method(self, prompt):
        return f"plain {prompt}"


WARM = {"temperature": 0.7}


class TestOptions:
    """How a callable takes them, by its signature."""

    @pytest.mark.parametrize(
        "sampler",
        [keyword, named, positional, both_positional, Callable(), functools.partial(keyword)],
    )
    async def test_they_reach_it(self, sampler):
        """Whatever the parameter's kind."""
        source = as_source(sampler)
        assert source.takes_options
        assert (await source.complete("q", WARM)).value == "q at 0.7"

    @pytest.mark.parametrize(
        "sampler", [plain, optional, Callable().method, lambda p: f"plain {p}"]
    )
    async def test_a_callable_of_the_prompt_alone(self, sampler):
        """Is called with it alone; options for it would be dropped, so they are refused."""
        source = as_source(sampler)
        assert not source.takes_options
        assert (await source.complete("q", {})).value == "plain q"
        with pytest.raises(UsageError, match="takes the prompt alone"):
            await source.complete("q", WARM)

    async def test_a_builtin_that_hides_its_signature(self):
        """Takes the prompt alone."""
        assert (await as_source(dict).complete([("a", 1)], {})).value == {"a": 1}


class TestAsync:
    """Whether a call in flight can be recalled."""

    @pytest.mark.parametrize("sampler", [plain, Callable(), functools.partial(plain), AsyncMock()])
    def test_async_ones_can(self, sampler):
        """Functions, objects, partials and mocks."""
        assert as_source(sampler).recallable

    async def test_sync_ones_run_on_a_thread(self):
        """And cannot."""
        source = as_source(lambda prompt: threading.current_thread())
        assert not source.recallable
        assert (await source.complete("q", {})).value is not threading.current_thread()

    async def test_a_sync_one_that_returns_an_awaitable_is_awaited(self):
        """As a lambda around an async function."""
        assert (
            await as_source(lambda prompt: plain(prompt[:])).complete("q", {})
        ).value == "plain q"


class TestTraits:
    """What a sampler may say of itself."""

    def test_defaults(self):
        """Nothing is known of a plain function."""
        source = as_source(plain)
        assert (source.name, source.model, source.provider) == ("plain", None, None)
        assert (source.max_tokens, source.passthrough, source.leaf) == (None, (), True)
        assert source.draws == 1

    def test_what_it_says(self):
        """By attributes; its model names it."""
        sampler = Callable()
        sampler.model, sampler.provider, sampler.max_tokens = "m", "p", 9
        sampler.passthrough, sampler.leaf = [KeyError], False
        source = as_source(sampler)
        assert (source.name, source.model, source.provider) == ("m", "m", "p")
        assert (source.max_tokens, source.passthrough, source.leaf) == (9, (KeyError,), False)

    def test_one_type_of_control_flow_may_stand_alone(self):
        """As in an `except` clause."""
        sampler = Callable()
        sampler.passthrough = KeyError
        assert as_source(sampler).passthrough == (KeyError,)

    @pytest.mark.parametrize(
        ("options", "cap"), [({}, 9), ({"max_tokens": 5}, 5), ({"max_tokens": None}, None)]
    )
    def test_the_cap_on_output(self, options, cap):
        """An option comes before what the sampler says."""
        sampler = Callable()
        sampler.max_tokens = 9
        assert as_source(sampler).output_cap(options) == cap


class TestSeveral:
    """Samplers by name."""

    def test_one(self):
        """Is named by itself."""
        assert list(as_sources(plain)) == ["plain"]

    def test_many(self):
        """By their names; the first is the default."""
        sources = as_sources({"small": plain, "large": keyword})
        assert list(sources) == ["small", "large"]
        assert sources["large"].name == "large"

    @pytest.mark.parametrize("wrong", [{}, None, "model", {"small": "model"}])
    def test_what_cannot_be_sampled_is_refused(self, wrong):
        """With what would do."""
        with pytest.raises(UsageError, match=r"^sampler="):
            as_sources(wrong)


def test_a_completion_stays_as_it_is():
    """And a bare value becomes one."""
    completion = Completion(value="x", finish_reason="stop")
    assert as_completion(completion) is completion
    assert as_completion("x") == Completion(value="x")
