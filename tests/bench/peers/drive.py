"""An arm at work: its process, and what the server saw of it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from arms import HERE
from replay import CALM, Count, Replay, Weather
from runner import Task, folded

if TYPE_CHECKING:
    from arms import Arm
    from recordings import Question
    from replay import ReplayServer

START_SECONDS = 300.0
"""For an environment to load its libraries."""


@dataclass(frozen=True)
class Scenario:
    """What all arms are put through.

    Attributes:
        pool: Name of the pool.
        name: What goes wrong, or "clean".
        questions: The questions; those of the warm-up come first.
        weather: What goes wrong.
        timeout: Seconds that a client waits for a reply, where a peer lets one say so.
        limit: Seconds after which a question is given up.
    """

    pool: str
    name: str
    questions: tuple[Question, ...]
    weather: Weather = CALM
    timeout: float = 15.0
    limit: float = 30.0

    @property
    def clean(self) -> bool:
        """Nothing goes wrong."""
        return self.name == "clean"


@dataclass(frozen=True)
class Trial:
    """One question put to one arm.

    Attributes:
        seconds: To the answer, or to the error.
        error: Type of the error.
        right: Whether the answer is right; None where there is none. To abstain is to be wrong.
        count: What the server saw.
    """

    seconds: float
    error: str | None
    right: bool | None
    count: Count


class Runner:
    """One arm: a process that is put through one scenario after the other.

    Attributes:
        arm: The arm.
        trials: Of the last scenario.
        failed: Why there are no more of them.
    """

    def __init__(self, arm: Arm, server: ReplayServer) -> None:
        self.arm = arm
        self.trials: list[Trial] = []
        self.failed: str | None = None
        self._server = server
        self._process: asyncio.subprocess.Process | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the runner

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()
        self._log.close()

    async def begin(self, scenario: Scenario) -> None:
        """Be ready for the questions of a scenario, in a new process if the last one was spoilt."""
        if self.failed or any(trial.seconds >= self._scenario.limit for trial in self.trials):
            await self._end()
        self.trials, self.failed, self._scenario = [], self.arm.peer.missing, scenario
        if self.failed:
            return
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                str(self.arm.peer.python),
                str(HERE / self.arm.peer.runner),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=self._log,
            )
        self._replay = Replay(scenario.questions, scenario.weather)
        task = Task(
            arm=self.arm.name,
            url=self._server.open(self._replay),
            prompts=[each.prompt for each in scenario.questions],
            timeout=scenario.timeout,
            limit=scenario.limit,
            scores={each.prompt: _scores(each) for each in scenario.questions},
        )
        self._say(json.dumps(asdict(task)))

    async def ask(self, number: int, *, keep: bool = True) -> None:
        """Put a question, unless the process has ended; what came of it is among the trials."""
        if self.failed:
            return
        self._say(str(number))
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS + self._scenario.limit):
                line = await self._process.stdout.readline()
        except TimeoutError:
            self.failed = "hangs"
            return
        if not line:
            self.failed = f"failed: {self._last_words()}"
        elif keep:
            self.trials.append(self._trial(number, json.loads(line)))

    def odd(self) -> str | None:
        """What the arm did that it should not, where nothing went wrong."""
        arm = self.arm
        (least, most), (fewest, greatest) = arm.samples, arm.requests or arm.samples
        found = [
            f"{trial.count.samples} samples in {trial.count.requests} requests, {trial.error}"
            for trial in self.trials
            if not least <= trial.count.samples <= most
            or not fewest <= trial.count.requests <= greatest
            or trial.right is None
        ]
        return f"{arm.title}: {len(found)} questions, the first: {found[0]}" if found else None

    async def _end(self) -> None:
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
        self._process = None

    def _say(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it ended"

    def _trial(self, number: int, line: dict) -> Trial:
        graded = self._scenario.questions[number].samples
        grades = {folded(each.reply): each.right for each in graded}
        abstained = line["reply"] is None and line["error"] is None
        return Trial(
            seconds=line["seconds"],
            error=line["error"],
            right=False if abstained else grades.get(folded(line["reply"] or "")),
            count=self._replay.counts.get(number, Count()),
        )


def _scores(question: Question) -> dict[str, float]:
    return {folded(e.reply): e.score for e in question.samples if e.score is not None}
