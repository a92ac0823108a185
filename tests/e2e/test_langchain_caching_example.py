"""The example of caches: which of them leaves a vote its samples, and what is paid for."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

import pytest
from rich.console import Console

from thinktwice import AtMost

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

FOLDER = Path(__file__).parents[2] / "examples" / "langchain"
QUESTIONS = 2


@pytest.fixture(scope="module")
def setups():
    """What the example measures, on two questions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        patch.delitem(sys.modules, "caching", raising=False)
        example = importlib.import_module("caching")
        asked = example.problems(QUESTIONS, families=("product", "long"))

        async def measured():
            return {
                name: await example.measured(name, asked, AtMost(example.N))
                for name in example.SETUPS
            }

        found = asyncio.run(measured())
        Console(width=110).print(example.table_of(list(found.values()), QUESTIONS))
        patch.delitem(sys.modules, "caching")
    return found


def requests(setup) -> list[int]:
    return [each.requests for each in setup.passes]


def test_what_is_asked_twice(setups):
    """A cache answers for nothing; without one everything is paid for again."""
    assert requests(setups["no cache"]) == [16, 16]
    assert requests(setups["InMemoryCache"]) == [16, 0]
    assert requests(setups["SampleKeyedCache"]) == [16, 0]
    assert setups["SampleKeyedCache"].passes[1].read == 0


def test_the_samples_that_come_again(setups):
    """A plain cache has one for all of them; the other has those of the first time."""
    assert setups["InMemoryCache"].passes[1].texts == 1
    first, second = setups["SampleKeyedCache"].passes
    assert first.texts == second.texts > 1
    assert first.right == second.right


def test_native_n(setups):
    """One request a question, with the prompt of one sample."""
    native, plain = setups["no cache, native n"], setups["no cache"]
    assert requests(native) == [2, 2]
    assert plain.passes[0].read == 8 * native.passes[0].read
    assert requests(setups["SampleKeyedCache, native n"]) == [2, 0]
