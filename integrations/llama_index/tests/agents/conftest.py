"""An account to pay from, and models that propose to."""

from __future__ import annotations

from itertools import cycle

import pytest


class Account:
    """What was paid, by whom it was asked for."""

    def __init__(self):
        self.paid = []

    def pay(self, to: str, euros: int) -> str:
        """Pay somebody."""
        self.paid.append((to, euros))
        return f"paid {euros}"


@pytest.fixture
def account():
    """Nothing is paid yet."""
    return Account()


@pytest.fixture
def paying(asks_tools):
    """A message that proposes to pay somebody."""

    def make(*amounts, to="Ada"):
        return asks_tools(*(("pay", {"to": to, "euros": each}) for each in amounts))

    return make


@pytest.fixture
def clerk(scripted):
    """An LLM that makes its proposals in turn until a tool has run, and then gives its answers."""

    def make(*proposals, answers=("Done.",), **settings):
        before, after = cycle(proposals), cycle(answers)

        def reply(request):
            last = request["given"][-1]
            acted = str(last.role.value) == "tool" or "Observation:" in (last.content or "")
            return next(after if acted else before)

        return scripted(reply, **settings)

    return make


def react(thought, action=None, answer=None):
    """What a `ReActAgent` reads: an action on the account, or an answer."""
    if answer is not None:
        return f"Thought: {thought}\nAnswer: {answer}"
    return f"Thought: {thought}\nAction: pay\nAction Input: {action}"


@pytest.fixture(name="react")
def _react():
    return react
