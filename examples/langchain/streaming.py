"""A screen that shows the votes of an answer coming in, and then the answer.

A vote has no answer before it is decided, so there are no tokens to stream; what it can show
meanwhile is the ballot. Run it with `python examples/langchain/streaming.py`, or with a question of
your own: `... streaming.py "What is 59*7+64?"`. The model is embedded and errs on its own; no key
and no network are needed. Each sample is made to take up to `--pace` seconds, as a remote model's
would.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
import random
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from arithmetic_lm import final_answer, problems
from arithmetic_lm.langchain import ArithmeticChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import vote
from langchain_thinktwice.samples import TAG
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from thinktwice.errors import ThinktwiceWarning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from langchain_core.runnables import Runnable

N = 16
WIDTH = 24  # of the longest bar
CONSOLE = Console(highlight=False)


@dataclass(frozen=True)
class Screen:
    """What a viewer sees of one question."""

    question: str
    progress: Mapping[str, Any]
    answer: str | None = None

    def heard(self, payload: Mapping[str, Any]) -> Screen:
        """With one more event, if it is of the outermost run."""
        return self if "within" in payload else replace(self, progress=payload)

    def __rich__(self) -> Table:
        """A bar for each answer so far, in order of appearance, and the answer when there is one.

        Events have no content: while the vote is open, an answer is known by its number alone.
        """
        shown = Table.grid(padding=(0, 1))
        shown.add_row("", Text(self.question, style="bold"))
        tally = self.progress.get("tally", ())
        for number, votes in enumerate(tally):
            chosen = self.answer is not None and number == self.progress.get("group")
            name = Text(f"answer {number + 1}", style="green" if chosen else "")
            shown.add_row(name, f"{'█' * round(WIDTH * votes / max(tally))} {votes}")
        shown.add_row("", self._state())
        return shown

    def _state(self) -> Text:
        if self.answer is None:
            done = f"{self.progress.get('finished', 0)} of at most {N} samples ..."
            return Text(done, style="dim")
        told = self.progress
        text = f"{self.answer}   {told['agreement']:.0%} of {told['finished']} samples agree"
        return Text(f"{text}, {told['tokens']} tokens, {told['seconds']:.1f} s", style="green")


def voted(pace: float) -> Runnable[str, str]:
    """The chain: a prompt, a model that takes a while, and a vote on the number at the end."""

    async def wait(message: object) -> object:
        await asyncio.sleep(random.uniform(0, pace))
        return message

    prompt = ChatPromptTemplate.from_template("What is {sum}?")
    chain = prompt | ArithmeticChatModel() | RunnableLambda(wait) | StrOutputParser() | final_answer
    return vote(chain, n=N, prefer="cost")


async def screens(chain: Runnable[Any, str], question: str) -> AsyncIterator[Screen]:
    """The screen after each event, from the events that LangChain streams of any Runnable."""
    screen = Screen(question, {})
    yield screen
    events = chain.astream_events({"sum": question}, version="v2", exclude_tags=[TAG])
    async for event in events:
        if event["event"] == "on_custom_event":
            screen = screen.heard(event["data"])
        elif event["event"] == "on_chain_end" and not event["parent_ids"]:
            screen = replace(screen, answer=str(event["data"]["output"]))
        yield screen


async def main(questions: list[str], pace: float) -> None:
    """Answer some questions on the screen."""
    warnings.simplefilter("ignore", ThinktwiceWarning)  # the screen shows split votes
    for question in questions:
        with Live(console=CONSOLE, auto_refresh=False) as live:
            async for screen in screens(voted(pace), question):
                live.update(screen, refresh=CONSOLE.is_terminal)
        CONSOLE.print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("questions", nargs="*", help="sums, such as 59*7+64")
    parser.add_argument("--pace", type=float, default=1.0, help="seconds that a sample takes")
    arguments = parser.parse_args()
    drawn = [problem.question for problem in problems(3, families=("product", "long"))]
    asyncio.run(main(arguments.questions or drawn, arguments.pace))
