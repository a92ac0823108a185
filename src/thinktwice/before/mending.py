"""Asking for better arguments of a tool call that was refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Final, cast

from thinktwice.answers import text_in
from thinktwice.answers.shapes import tool_calls
from thinktwice.calls import call
from thinktwice.errors import UsageError, status_of
from thinktwice.sampling import as_source
from thinktwice.verifiers.schema import json_of
from thinktwice.verifiers.tool import is_out_of_budget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.before.action import Action
    from thinktwice.protocols import Sampler

_REQUEST: Final = """\
You proposed a call of the tool {name}. It was checked before it was made, and it was refused: \
nothing has happened yet.
{task}
Arguments of the call, as JSON:
{args}

What is wrong:
{reasons}

Answer with the corrected arguments as one JSON object, and nothing else."""


async def mended(
    action: Action, reasons: Sequence[str], repair: Sampler[str, object], prompt: object
) -> Mapping[str, object] | str:
    """Other arguments, or why there are none."""
    source = as_source(repair)
    try:
        reply = await call(repair, _request(action, reasons, prompt), role="repair")
    except Exception as error:
        if isinstance(error, (UsageError, *source.passthrough)) or is_out_of_budget(error):
            raise
        return f"A repair was tried and broke: {status_of(error)}."
    found = _arguments_in(reply.value, action.name)
    return "A repair was tried and is not readable." if found is None else found


def _request(action: Action, reasons: Sequence[str], prompt: object) -> str:
    task = "" if prompt is None else f"\nWhat the user wants:\n{_json(prompt)}\n"
    listed = "\n".join(f"- {each}" for each in reasons)
    return _REQUEST.format(
        name=_json(action.name), task=task, args=_json(action.args), reasons=listed
    )


def _json(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, default=repr)


def _arguments_in(reply: object, name: str) -> Mapping[str, object] | None:
    """The arguments that a repair returned: of the same tool, or none."""
    made = tool_calls(reply)
    if made:
        found = made[0][1] if len(made) == 1 and made[0][0] == name else None
    elif isinstance(reply, Mapping):
        found = cast("object", reply)
    else:
        found = _data_of(reply)
    return deepcopy(cast("Mapping[str, object]", found)) if isinstance(found, Mapping) else None


def _data_of(reply: object) -> object:
    try:
        return json_of(text_in(reply) or "")[0]
    except (ValueError, RecursionError):  # no JSON, or no text at all
        return None
