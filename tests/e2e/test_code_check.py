"""The verifier of programs with the sandboxes that are here, and with programs that cheat."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thinktwice.behaviour import Behaviour
from thinktwice.sample import Sample
from thinktwice.sandbox.auto import auto
from thinktwice.sandbox.protocol import Case, Limits
from thinktwice.verifiers.code import Code

ROOT = Path(__file__).parents[2]
RIGHT = "def add(a, b):\n    return a + b\n"
PAIRS = [((1, 2), 3), ((-1, 1), 0), ((987000, 654), 987654)]

FAKES = {
    "exits": "import sys\nsys.exit(0)\n",
    "exits at once": "import os\nos._exit(0)\n",
    "exits when called": "def add(a, b):\n    raise SystemExit(0)\n",
    "is equal to everything": (
        "class Same(int):\n    __eq__ = lambda self, other: True\n    __hash__ = int.__hash__\n"
        "def add(a, b):\n    return Same(7)\n"
    ),
    "reads its own source": (
        "def add(a, b):\n    import sys\n    return open(sys.argv[0]).read()\n"
    ),
    "walks frames": (
        "import sys\ndef add(a, b):\n    frame, seen = sys._getframe().f_back, []\n"
        "    while frame:\n        seen.append(str(frame.f_locals))\n        frame = frame.f_back\n"
        "    return a + b if str(a + b) in ''.join(seen) else None\n"
    ),
    "looks through the heap": (
        "import gc\ndef add(a, b):\n    kinds = (list, tuple, dict)\n"
        "    small = [x for x in gc.get_objects() if type(x) in kinds and len(x) < 50]\n"
        "    return a + b if any(str(a + b) in str(x) for x in small) else None\n"
    ),
    "patches json": (
        "import json\njson.dumps = lambda *a, **k: '3'\ndef add(a, b):\n    return 0\n"
    ),
    "patches builtins": (
        "import builtins\nbuiltins.all = builtins.isinstance = lambda *a: True\n"
        "def add(a, b):\n    return 0\n"
    ),
    "writes PASS": "print('PASS\\n3 passed')\ndef add(a, b):\n    print('ok')\n    return 0\n",
    "learns what it was shown": (
        "def add(a, b):\n    return {(1, 2): 3, (-1, 1): 0}.get((a, b), 0)\n"
    ),
}


@pytest.fixture(autouse=True)
def _a_sandbox():
    if shutil.which("bwrap") is None:
        pytest.importorskip("pydantic_monty", reason="neither bubblewrap nor pydantic-monty")


async def judged(program: str, tests: object = PAIRS, **options: object):
    code = Code(tests, **{"entry_point": "add", **options})  # type: ignore[arg-type]
    return await code(Sample(index=0, value=f"```python\n{program}```"), prompt="Add two.")


async def test_a_right_program_passes():
    """In what is here, and it is said where."""
    verdict = await judged(RIGHT)
    assert verdict.outcome == "pass"
    assert verdict.evidence[0].startswith("3 tests pass in ")


@pytest.mark.parametrize("fake", FAKES)
async def test_no_fake_passes(fake: str):
    """An error is possible, where a sandbox lacks what the program uses; a pass is not."""
    verdict = await judged(FAKES[fake])
    assert verdict.outcome in {"fail", "error"}
    assert "987654" not in f"{verdict.feedback} {verdict.evidence}"  # that test is held back


async def test_a_pytest_file():
    """Exceptions, tolerances and statements, without pytest in the sandbox."""
    tests = """
import pytest
from solution import add

@pytest.mark.parametrize("a, b", [(0, 0), (1, -1)])
def test_zero(a, b):
    assert add(a, b) == pytest.approx(0)

def test_types():
    with pytest.raises(TypeError):
        add(1, "a")

def test_in_a_loop():
    for i in range(5):
        assert add(i, i) == 2 * i
"""
    assert (await judged(RIGHT, tests)).outcome == "pass"
    verdict = await judged("def add(a, b):\n    return int(a) + int(b, 36)\n", tests)
    assert verdict.outcome == "fail"
    lenient = (
        "def add(a, b):\n    try:\n        return a + b\n    except TypeError:\n        return 0\n"
    )
    verdict = await judged(lenient, tests, hold_back=0)
    assert verdict.outcome == "fail"
    assert "DID NOT RAISE" in (verdict.feedback or "")


async def test_whole_programs():
    """By what they print."""
    sandbox = auto()
    runs = await sandbox.execute("print(input())", [Case(stdin="a")], limits=Limits())
    if runs.status != "ok":
        pytest.skip(f"no sandbox runs whole programs here: {runs.reason}")
    program = "a, b = map(int, input().split())\nprint(a + b)\n"
    tests = [("1 2\n", "3\n"), ("4 5\n", "9\n")]
    assert (await judged(program, tests, entry_point=None)).outcome == "pass"
    assert (await judged(program.replace("+", "-"), tests, entry_point=None)).outcome == "fail"


async def test_behaviour():
    """Is the same however it is written."""
    key = Behaviour([(1, 2), (5, -5)], entry_point="add")
    other = "from operator import add\n"
    assert await key(RIGHT) == await key(RIGHT.replace("a + b", "b + a"))
    assert await key(other) in {await key(RIGHT), None}  # None: a sandbox without that module


def test_the_example_runs():
    """And shows the three verdicts."""
    done = subprocess.run(  # noqa: S603 - our own example
        [sys.executable, str(ROOT / "examples" / "code_check.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "CodeT" in done.stdout
    assert done.stdout.count("pass") >= 1
    assert done.stdout.count("fail") >= 1


async def test_only_a_whole_program_is_main():
    """What stands under `if __name__ == "__main__"` is for those who run it."""
    program = f"{RIGHT}if __name__ == '__main__':\n    print(add(int(input()), 1))\n"
    assert (await judged(program)).outcome in {"pass", "error"}  # error: monty alone
    sandbox = auto()
    run = await sandbox.execute(program, [Case(stdin="2")], limits=Limits())
    assert run.status != "ok" or run.cases[0].stdout == "3\n"
