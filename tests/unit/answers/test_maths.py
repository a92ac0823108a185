"""`key="math"`: equal answers, however they are written, read in another process."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import closing
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from thinktwice import AtMost, Completion, UsageError, Vote, solve
from thinktwice.answers import key_function, maths
from thinktwice.answers.maths import Reader, TooLongError
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers import ExactMatch

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("math_verify") is None, reason="needs thinktwice[math]"
    ),
    pytest.mark.timeout(180),  # SymPy loads for long on a busy machine
]

ECHO = """\
import json, sys, time
print("ready", flush=True)
for line in sys.stdin:
    said = json.loads(line)[0]
    if said == "hang":
        time.sleep(600)
    if said == "die":
        sys.exit(3)
    print(json.dumps(["value", said]), flush=True)
"""


@pytest.fixture(scope="module")
def key():
    return key_function("math")


@pytest.fixture
def echo(tmp_path):
    """A reader whose process echoes, hangs or dies as it is told."""
    program = tmp_path / "echo.py"
    program.write_text(ECHO)
    with closing(Reader(limit=0.3, worker=program)) as reader:
        yield reader


class TestEqualAnswers:
    """One key for all ways to write an answer."""

    @pytest.mark.parametrize(
        "texts",
        [
            (r"\frac12", r"\boxed{\frac{1}{2}}", "0.5", "1/2", "50%", r"$50\%$", ".5", 0.5),
            ("x=5", "$x = 5$", "5", "5.0", 5, "The answer is 5.", r"so \boxed{5}"),
            (r"$\sqrt{8}$", r"\boxed{2\sqrt2}", r"$\frac{4}{\sqrt 2}$"),
            (
                r"$(x+1)^2$",
                r"\boxed{x^2+2x+1}",
                "x^2 + 2x + 1",
                r"$y = (1+x)(x+1)$",
                "The answer is x^2+2x+1.",
            ),
            (r"$\frac{n(n+1)}{2}$", r"$\frac{n^2+n}{2}$"),
            (r"$0.\overline{3}$", r"$\frac13$", Fraction(1, 3)),
            (r"$\{1, 2\}$", r"$\{2, 1\}$", "$1, 2$"),
            (r"$x < 3$", r"$3 > x$", r"$2x < 6$"),
            (r"$2x + y = 3$", r"$6 - 4x - 2y = 0$"),
            (r"$\sqrt{3+2\sqrt2}-\sqrt2$", "1"),
            (r"\boxed{\text{East}}", r"\boxed{\text{east}}"),
            (r"$1{,}200$", "1,200", r"$1.2 \times 10^3$", 1200),
        ],
        ids=lambda texts: str(texts[0]),
    )
    def test_they_share_a_key(self, key, texts):
        """None of them abstains."""
        keys = [key(each) for each in texts]
        assert None not in keys
        assert set(keys) == {keys[0]}

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (r"$\frac12$", r"$\frac13$"),
            ("0.333", r"$\frac13$"),
            ("$x^2+1$", "$x^2+2$"),
            ("$x$", "$y$"),
            (r"$\sqrt{x^2}$", "$x$"),
            ("$x<3$", "$x>3$"),
            ("$x<3$", r"$x \le 3$"),
            ("$(1,2)$", "$[1,2)$"),
            ("$(1,2,3)$", "$(3,2,1)$"),
            ("$3.14$", r"$\pi$"),
            ("$10^{20}$", "$10^{20}+1$"),
        ],
    )
    def test_different_answers_do_not(self, key, one, other):
        """Near is not equal."""
        assert key(one) != key(other)

    def test_numbers_are_those_of_the_other_keys(self, key):
        """So that values and texts can be compared."""
        assert key(r"$\frac12$") == key_function("number")("0.5") == Decimal("0.5")
        assert type(key("$5$")) is int

    @pytest.mark.parametrize(
        "value", ["", "no idea", None, r"\boxed{" + "(" * 5000 + "}", r"$\frac10$"]
    )
    def test_what_is_no_mathematics_abstains(self, key, value):
        """It votes for nothing."""
        assert key(value) is None

    def test_it_reads_what_frameworks_wrap(self, key):
        """As the other keys do."""
        message = {"type": "ai", "content": r"It is \boxed{\frac{1}{2}}."}
        assert key(Completion(value=message)) == key({"messages": [message]}) == Decimal("0.5")
        with pytest.raises(UsageError, match="has none: pass 'json:field'"):
            key(object())

    def test_prose_is_no_formula(self, key):
        """Words are no products of letters: what is delimited counts, else the last number."""
        assert key("We get 2^3 and so 8 apples.") == 8
        assert key("the sum of squares x^2 gives $x^2$") == key("$x^2$")

    def test_the_end_of_a_long_text_counts(self, key):
        """A megabyte takes no longer."""
        started = time.perf_counter()
        assert key("and then 12. " * 80_000 + r"so $\sqrt{9}$") == 3
        assert time.perf_counter() - started < 2


class TestInARun:
    """Votes and verifiers."""

    async def test_a_vote_counts_equal_answers(self):
        """Three ways to write one."""
        ask = ScriptedSampler([r"$\frac12$", "$3$", r"\boxed{50\%}", "0.5"])
        result = await solve("?", sampler=ask, strategy=Vote(4, key="math", prefer="latency"))
        assert result.answer == Decimal("0.5")

    async def test_the_event_loop_goes_on(self, monkeypatch, echo):
        """While an answer takes as long as it may."""
        monkeypatch.setattr(maths, "_reader", echo)
        beats = 0

        async def beat():
            nonlocal beats
            while True:
                await asyncio.sleep(0.01)
                beats += 1

        heart = asyncio.create_task(beat())
        maths._key_of.cache_clear()
        ask = ScriptedSampler(["$a$", "hang"])
        strategy = Vote(2, key="math", prefer="cost", stop=AtMost(2))
        result = await solve("?", sampler=ask, strategy=strategy)
        heart.cancel()
        maths._key_of.cache_clear()
        assert [each.answer for each in result.samples] == [("value", "$a$"), None]
        assert beats > 5

    async def test_a_reference_is_compared(self):
        """By a verifier."""
        match = ExactMatch(r"\frac{3}{4}", key="math")
        ask = ScriptedSampler(["75%"])
        result = await solve("?", sampler=ask, strategy=Vote(1))
        assert (await match(result.samples[0], prompt="?")).outcome == "pass"


class TestProcess:
    """Started, killed, started again."""

    def test_a_hang_is_killed_at_the_limit(self, echo):
        """And the next answer comes from a new process."""
        assert echo.form(["a"]) == ["value", "a"]
        first = echo._process.pid
        started = time.perf_counter()
        with pytest.raises(TooLongError):
            echo.form(["hang"])
        assert time.perf_counter() - started < 5
        assert not alive(first)
        assert echo.form(["b"]) == ["value", "b"]
        assert echo._process.pid != first

    def test_a_process_that_dies_is_replaced(self, echo):
        """By itself while it reads, or killed by somebody in between."""
        with pytest.raises(TooLongError):
            echo.form(["die"])
        assert echo.form(["a"]) == ["value", "a"]
        os.kill(echo._process.pid, signal.SIGKILL)
        echo._process.wait()
        assert echo.form(["b"]) == ["value", "b"]

    def test_threads_take_turns(self, echo):
        """Each gets its own answer."""
        found = {}

        def ask(each):
            found[each] = echo.form([each])

        threads = [threading.Thread(target=ask, args=(str(at),)) for at in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {str(at): ["value", str(at)] for at in range(20)}

    def test_after_a_close_nothing_is_left(self, echo):
        """No process, no pipe; it may start again."""
        before = opened()
        echo.form(["a"])
        process = echo._process
        echo.close()
        assert process.returncode is not None
        assert opened() == before
        assert echo.form(["b"]) == ["value", "b"]

    def test_one_that_does_not_start_says_so(self, tmp_path):
        """Nothing abstains silently."""
        (tmp_path / "broken.py").write_text("import nothing_of_this_name")
        with closing(Reader(worker=tmp_path / "broken.py")) as reader:
            for _ in range(2):
                with pytest.raises(RuntimeError, match="did not start"):
                    reader.form(["a"])

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_a_forked_child_has_its_own(self, echo):
        """It leaves the parent's alone, even if a thread of the parent was using it."""
        echo.form(["a"])
        echo._turn.acquire()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests
            child = os.fork()
        if child == 0:
            status = 1
            try:
                echo.forget()
                status = 0 if echo.form(["b"]) == ["value", "b"] else 2
                echo.close()
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        echo._turn.release()
        assert os.waitstatus_to_exitcode(status) == 0
        assert echo.form(["c"]) == ["value", "c"]

    def test_the_interpreter_ends_without_leftovers(self):
        """Without a warning, and within its time, also in the middle of a hang."""
        code = (
            "import os, threading\n"
            "from thinktwice.answers import key_function, maths\n"
            "key = key_function('math')\n"
            "threading.Thread(target=key, args=('$x$',), daemon=True).start()\n"
            "print(maths._reader._process.pid)\n"
        )
        done = subprocess.run(  # noqa: S603 - our own interpreter and our own text
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert not alive(int(done.stdout))


class TestMissing:
    """Without the extra."""

    def test_it_is_named_at_construction(self, monkeypatch):
        """Before anything is drawn."""
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        with pytest.raises(UsageError, match=r"pip install thinktwice\[math\]"):
            Vote(3, key="math")
        with pytest.raises(UsageError, match=r"pip install thinktwice\[math\]"):
            key_function("math")

    def test_the_name_is_listed_among_the_known(self):
        """The message is the documentation."""
        with pytest.raises(UsageError, match='"math"'):
            key_function("maths")


def opened() -> int:
    """Files that this process has open, where the system tells."""
    listing = Path("/proc/self/fd")
    return len(list(listing.iterdir())) if listing.is_dir() else 0


def alive(process: int) -> bool:
    """Whether it runs; one that ended and was waited for does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
