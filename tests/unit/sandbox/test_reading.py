"""Reading what a child wrote, without trusting it."""

from __future__ import annotations

import signal

import pytest

from thinktwice.sandbox.child import Ended
from thinktwice.sandbox.reading import (
    READY,
    began,
    expression_runs,
    killed,
    sanitised,
    whole_run,
)
from thinktwice.sandbox.values import encode


def ended(*said: object, cause: str = "exited", code: int = 0, seconds: float = 0.1) -> Ended:
    """A child that began, and wrote some lines."""
    lines = [line if isinstance(line, bytes) else encode(line).encode() for line in said]
    results = READY + b"".join(line + b"\n" for line in lines)
    return Ended(cause=cause, code=code, results=results, output=b"", errors=b"", seconds=seconds)


def statuses(child: Ended, count: int) -> list[str]:
    """How the cases ended."""
    return [run.status for run in expression_runs(child, count, seconds=3)]


ONE = ("ok", "1", None, "")


def test_a_line_is_a_case() -> None:
    """Values and exceptions."""
    child = ended(
        ONE, ("raised", None, "ValueError", "a\x1b[31m\nb"), ("no_result", None, None, "")
    )
    first, second, third = expression_runs(child, 3, seconds=3)
    assert (first.status, first.value) == ("ok", "1")
    assert (second.status, second.error, second.message) == ("raised", "ValueError", "a [31m b")
    assert (third.status, third.value) == ("no_result", None)


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"cause": "timeout", "code": -9}, "timeout"),
        ({"cause": "output", "code": -9}, "output"),
        ({"code": 128 + signal.SIGXCPU}, "timeout"),
        ({"code": -signal.SIGXCPU}, "timeout"),
        ({"code": 128 + signal.SIGKILL, "seconds": 4.0}, "timeout"),
        ({"code": 128 + signal.SIGKILL, "seconds": 0.5}, "exited"),
        ({"code": 128 + signal.SIGSEGV}, "exited"),
        ({"code": 0}, "exited"),
        ({"code": 255}, "exited"),
    ],
)
def test_the_case_that_ended_it_says_how_and_the_rest_was_not_run(
    how: dict[str, object], status: str
) -> None:
    """A limit, a signal or an exit."""
    assert statuses(ended(ONE, **how), 3) == ["ok", status, "not_run"]


def test_a_line_that_was_cut_off_is_no_result() -> None:
    """It may be half of anything."""
    child = ended(ONE)
    half = Ended(**{**vars(child), "results": child.results + b'{"tuple":["ok","2",null,""]}'})
    assert statuses(half, 2) == ["ok", "exited"]


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"ok", b"\xff", b"{}", b"[]", b"1", b'{"tuple":["ok"]}'),
        *(("ok", "nonsense", None, ""), ("ok", 1, None, ""), ("ok", None, None, "")),
        *(("passed", "1", None, ""), ("not_run", None, None, ""), ("ok", "1", None, 1)),
        *((["ok"], "1", None, ""), ("ok", '{"a":1}', None, "")),
    ],
)
def test_a_line_that_is_not_the_drivers_is_no_result(line: object) -> None:
    """And the lines beside it count."""
    assert statuses(ended(ONE, line, ONE), 3) == ["ok", "no_result", "ok"]


def test_more_lines_than_cases_void_them_all() -> None:
    """The program wrote some of them, and which is not known."""
    assert statuses(ended(ONE, ONE, ONE), 2) == ["no_result"] * 2


def test_what_a_program_says_is_cut() -> None:
    """Its message, and the name of its exception."""
    (run,) = expression_runs(ended(("raised", None, "E" * 999, "m" * 2000)), 1, seconds=3)
    assert (len(run.error or ""), len(run.message)) == (100, 500)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\0b\x1b]0;c\x07", "a b ]0;c"),
        ("\u202eabc\u2066", "abc"),
        ("  a \n b ", "a b"),
        ("é", "é"),
    ],
)
def test_a_text_from_outside_controls_nothing(text: str, clean: str) -> None:
    """No terminal, no order of reading, no line."""
    assert sanitised(text) == clean


def whole(*said: object, output: bytes = b"", **how: object) -> tuple[str, str, str | None]:
    """What a whole program did."""
    run = whole_run(Ended(**{**vars(ended(*said, **how)), "output": output}), seconds=3)
    return run.status, run.stdout, run.error


def test_the_output_of_a_whole_program_is_its_result() -> None:
    """If it comes to its end; bytes that are no text are written as they are."""
    assert whole(output=b"1\n\xff") == ("ok", "1\n\\xff", None)


def test_a_whole_program_may_fail_or_be_stopped() -> None:
    """With what it wrote until then."""
    raised = ("raised", None, "ValueError", "")
    assert whole(raised, output=b"1", code=1) == ("raised", "1", "ValueError")
    assert whole(code=3) == ("exited", "", None)
    assert whole(cause="timeout", code=-9, output=b"1") == ("timeout", "1", None)
    assert whole(ONE, code=1) == ("exited", "", None)


def test_it_is_known_whether_a_child_began_and_was_killed() -> None:
    """Before it began nothing is the program's doing."""
    assert began(ended())
    assert not began(Ended(**{**vars(ended()), "results": b""}))
    assert killed(ended(code=128 + signal.SIGKILL))
    assert killed(ended(code=-signal.SIGKILL))
    assert not killed(ended(code=-signal.SIGKILL, cause="timeout"))
    assert not killed(ended(code=1))
