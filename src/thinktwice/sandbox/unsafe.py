"""A plain child process: no sandbox at all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thinktwice.errors import UsageError
from thinktwice.sandbox.child import Command
from thinktwice.sandbox.processes import Place, interpreter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.sandbox.protocol import Case, Execution, Limits


@dataclass(frozen=True)
class UnsafeSubprocess:
    """Runs programs in a child process with limits: guards against accidents, and nothing else.

    A program can read and write whatever this user can, reach the network, read the environment of
    this process and end it, and leave processes behind. For tests, and for machines that are
    thrown away.

    Cost: about 15 ms per execution.

    Attributes:
        allow_unsafe: Must be True, so that it stands in the code that wants this.

    Raises:
        UsageError: It is not.
    """

    allow_unsafe: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """See that it is wanted."""
        if self.allow_unsafe is not True:
            remedy = "it is no sandbox: allow_unsafe=True if the machine may be lost"
            raise UsageError("allow_unsafe", self.allow_unsafe, remedy)

    @property
    def name(self) -> str:
        """As it stands in executions."""
        return "unsafe_subprocess"

    async def execute(self, program: str, cases: Sequence[Case], *, limits: Limits) -> Execution:
        """Run the program, as this user."""
        place = Place(name=self.name, command=_command)
        return await place.execute(program, cases, limits=limits)


def _command(_: Limits) -> Command:
    return Command(
        arguments=lambda results, _: interpreter(results),
        environment={"PATH": os.defpath, "PYTHONHASHSEED": "0"},
    )
