"""The exception tree."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from thinktwice import (
    AllSamplesFailed,
    BudgetExceeded,
    Limit,
    RunError,
    ThinktwiceError,
    UsageError,
    Vote,
    solve,
)
from thinktwice.errors import TypeOf, attach, describe_causes, http_status, status_of
from thinktwice.testing import ScriptedSampler, run_virtual

if TYPE_CHECKING:
    from thinktwice.result import Result

SECRET = "sk-very-secret"
TOMORROW = datetime(2026, 3, 2, tzinfo=UTC)


def through_pickle(error: BaseException):
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes


class RefusedError(Exception):
    """As HTTP clients raise it."""

    def __init__(self, status_code: object) -> None:
        super().__init__(SECRET)
        self.status_code = status_code


@pytest.fixture(scope="module")
def result() -> Result[object]:
    sampler = ScriptedSampler(["a"])
    return run_virtual(solve("q", sampler=sampler, strategy=Vote(1)))


class TestStatus:
    """All that is shown of an error."""

    @pytest.mark.parametrize(
        ("error", "shown"),
        [
            (ValueError(SECRET), "ValueError"),
            (RefusedError(429), "RefusedError(429)"),
            (RefusedError("teapot"), "RefusedError"),
            (RefusedError(None), "RefusedError"),
        ],
    )
    def test_type_and_status(self, error: Exception, shown: str):
        """And never its text."""
        assert status_of(error) == shown

    def test_a_status_by_its_other_name(self):
        """As aiohttp has it."""
        error = ValueError()
        error.status = 503  # type: ignore[attr-defined]
        assert http_status(error) == 503

    @pytest.mark.parametrize("name", ["status_code", "status", "code"])
    def test_a_status_on_the_response(self, name: str):
        """As httpx and requests have it."""
        error = ValueError()
        error.response = SimpleNamespace(**{name: 429})  # type: ignore[attr-defined]
        assert http_status(error) == 429

    @pytest.mark.parametrize("status", [True, 7, 1006, "429", None, 429.0])
    def test_what_is_no_status(self, status: object):
        """Other fields have these names, too."""
        error = ValueError()
        error.code = error.status = status  # type: ignore[attr-defined]
        assert http_status(error) is None

    def test_causes_are_counted(self):
        """The most frequent first."""
        causes = [ValueError(SECRET), RefusedError(429), RefusedError(429)]
        shown = describe_causes(causes)
        assert shown == "all 3 samples failed: 2 x RefusedError(429), 1 x ValueError"


class TestUsageError:
    """The caller's mistake."""

    def test_it_names_parameter_value_and_remedy(self):
        """In one line, with a long value shortened."""
        assert str(UsageError("n", 0, "draw at least 1")) == "n=0: draw at least 1"
        assert len(str(UsageError("n", "x" * 500, "shorten it"))) < 110

    def test_of_settings_it_shows_the_type(self):
        """There may be a key among them, wherever they stand."""

        class Client(BaseModel):
            api_key: str = SECRET

        for value, shown in (
            (Client(), "a Client"),
            ({"gpt": Client()}, "a dict"),
            ([0, (Client(),)], "a list"),
        ):
            assert str(UsageError("n", value, "draw 1")) == f"n={shown}: draw 1"
        assert str(UsageError("n", Client, "make one")).startswith("n=<class '")

    def test_of_others_it_shows_a_short_repr(self):
        """A long one is of no use; those of Python and of ours begin with what was written."""

        class Client:
            def __init__(self, shown: str) -> None:
                self.shown = shown

            def __repr__(self) -> str:
                return self.shown

        assert str(UsageError("n", Client("<a client>"), "draw 1")) == "n=<a client>: draw 1"
        assert str(UsageError("n", Client("Client" * 20), "draw 1")) == "n=a Client: draw 1"
        assert "n=['xxxx" in str(UsageError("n", ["x" * 500], "draw 1"))
        assert "n=Vote(n=3, " in str(UsageError("n", Vote(3), "draw 1"))

    def test_what_cannot_be_shown(self):
        """Or is inside itself: an error comes of it all the same."""
        endless: list[object] = []
        endless.append(endless)
        assert str(UsageError("n", endless, "draw 1")).endswith(": draw 1")

    def test_it_is_a_value_error_and_pickles(self):
        """Whatever the value is."""
        again = through_pickle(UsageError("key", lambda: None, "give a name"))
        assert isinstance(again, ValueError)
        assert isinstance(again, ThinktwiceError)
        assert again.parameter == "key"


class TestBudgetExceeded:
    """No answer within the budget."""

    def test_it_says_which_cap_and_carries_what_was_paid(self, result: Result[object]):
        """The ledger is at hand."""
        error = BudgetExceeded(Limit(kind="calls", allowed=3, spent=3), result)
        assert str(error) == (
            "budget of 3 calls used up (3 spent): raise Budget(calls=...) or ask for less"
        )
        assert error.ledger is result.ledger
        assert isinstance(error, RunError)

    @pytest.mark.parametrize(
        ("needed", "renews_at", "said"),
        [
            (1, None, "ask for less or raise Budget(tokens=...) of that quota"),
            (90, None, "ask for less or raise Budget(tokens=...) of that quota"),
            (
                1,
                TOMORROW,
                "wait until then, ask for less or raise Budget(tokens=...) of that quota",
            ),
            (90, TOMORROW, "ask for less or raise Budget(tokens=...) of that quota"),
        ],
    )
    def test_of_a_quota_it_says_what_helps_there(self, needed, renews_at, said):
        """Waiting does not where a call is larger than all of it."""
        limit = Limit(
            kind="tokens", allowed=9, spent=9, needed=needed, quota="q", renews_at=renews_at
        )
        again = through_pickle(BudgetExceeded(limit))
        assert str(again).split(": ")[-1] == said

    def test_it_pickles(self, result: Result[object]):
        """Without the result."""
        error = BudgetExceeded(Limit(kind="cost", allowed=3, spent=1), result)
        again = through_pickle(error)
        assert (again.limit, again.result) == (error.limit, None)
        assert again.ledger is None


class TestAllSamplesFailed:
    """Several causes."""

    def test_it_is_a_group_and_a_run_error(self, result: Result[object]):
        """`except*` splits it by cause, and the parts keep the result."""
        error = AllSamplesFailed([ValueError(SECRET), KeyError(SECRET)], result)
        assert isinstance(error, RunError)
        caught = []
        try:
            raise error
        except* ValueError as group:
            caught.append(group)
        except* KeyError as group:
            caught.append(group)
        assert [len(group.exceptions) for group in caught] == [1, 1]
        assert all(isinstance(group, AllSamplesFailed) for group in caught)
        assert caught[0].result is result

    def test_its_text_holds_no_text_of_the_causes(self):
        """Types and counts."""
        error = AllSamplesFailed([ValueError(SECRET), KeyError(SECRET)])
        assert str(error) == (
            "all 2 samples failed: 1 x ValueError, 1 x KeyError (2 sub-exceptions)"
        )

    def test_it_pickles(self, result: Result[object]):
        """With its causes, without the result."""
        again = through_pickle(AllSamplesFailed([ValueError("x"), KeyError("y")], result))
        assert isinstance(again, AllSamplesFailed)
        assert [type(cause) for cause in again.exceptions] == [ValueError, KeyError]
        assert again.result is None


class TestAttach:
    """What was paid for stays with the exception."""

    def test_the_innermost_run_counts(self, result: Result[object]):
        """A second run does not take its place."""
        error, other = ValueError(), RunError()
        attach(error, result)
        attach(error, None)  # type: ignore[arg-type]
        attach(other, result)
        assert error.thinktwice_result is result  # type: ignore[attr-defined]
        assert other.result is other.thinktwice_result is result  # type: ignore[attr-defined]

    def test_an_exception_that_takes_no_attribute_is_left_alone(self, result: Result[object]):
        """It is raised all the same."""

        class ClosedError(Exception):
            __slots__ = ()

            def __setattr__(self, name: str, value: object) -> None:
                raise AttributeError(name)

        attach(ClosedError(), result)

    def test_it_goes_through_pickle(self, result: Result[object]):
        """As between processes; the ledger is then a record."""
        error = ValueError("x")
        attach(error, result)
        again = through_pickle(error)
        assert again.thinktwice_result.ledger.total == result.ledger.total


class TestTypeOf:
    """What stands for a value that is not to be shown."""

    @pytest.mark.parametrize(
        ("value", "shown"), [(SECRET, "a str"), (5, "an int"), (None, "None"), ({}, "a dict")]
    )
    def test_it_reads_as_a_type(self, value: object, shown: str):
        """With its article; there is one None alone."""
        error = UsageError("prompt", TypeOf(value), "give a text")
        assert str(error) == f"prompt={shown}: give a text"
        assert TypeOf(value).type is type(value)

    def test_a_class_that_was_given_is_no_type_of_a_value(self):
        """It is shown as what it is."""
        assert str(UsageError("strategy", int, "give one")) == "strategy=<class 'int'>: give one"
