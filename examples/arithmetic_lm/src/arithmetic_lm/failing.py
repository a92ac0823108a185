"""How a reply goes wrong on its way: lost, slow, or other than the API says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NoReturn, cast

from aiohttp import web

from .wire import JSON, error_body, event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .faults import Fault, Faults

OTHER_MODEL: Final = "another-model"
"""What a reply with the fault "other model" calls its model."""

_NO_JSON: Final = '{"id": "chatcmpl-'
_PIECE, _PAUSE = 16, 0.05  # bytes and seconds of a body that trickles


class Cut(Exception):
    """The connection was cut, as the fault has it."""


async def instead(request: web.Request, fault: Fault | None, faults: Faults) -> web.Response | None:
    """What is sent in place of a reply; None if a reply is made.

    Raises:
        Cut: The connection was cut.
    """
    if fault == "hang":
        await asyncio.Event().wait()
    if fault == "reset":
        _abort(request)
    if fault == "500":
        body = error_body("The server had an error.", kind="server_error")
        return web.json_response(body, status=500)
    if fault != "429":
        return None
    wait = faults.retry_after
    headers = {} if wait is None else {"Retry-After": f"{wait:g}"}
    body = error_body(
        "Rate limit reached for requests", kind="requests", code="rate_limit_exceeded"
    )
    return web.json_response(body, status=429, headers=headers)


def altered(body: JSON, fault: Fault | None) -> JSON:
    """The body of a reply, or of a chunk of one, as the fault has it."""
    if fault == "no usage":
        return {**body, "usage": None}
    if fault == "no choices":
        return {**body, "choices": []}
    if fault == "choices twice":
        return {**body, "choices": [*cast("list[JSON]", body["choices"])] * 2}
    return {**body, "model": OTHER_MODEL} if fault == "other model" else body


async def sent(request: web.Request, text: str, fault: Fault | None) -> web.StreamResponse:
    """Send the text of a whole reply.

    Raises:
        Cut: The connection was cut.
    """
    if fault == "garbage":
        text = _NO_JSON
    if fault not in ("cut", "trickle"):
        return web.Response(text=text, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    payload = text.encode()
    response.content_length = len(payload)
    await response.prepare(request)
    half = len(payload) // 2
    if fault == "cut":
        await response.write(payload[:half])
        _abort(request)
    async for piece in _trickling(payload):
        await response.write(piece)
    await response.write_eof()
    return response


async def disturb(
    request: web.Request, response: web.StreamResponse, body: JSON, fault: Fault | None
) -> None:
    """Send a chunk of a stream, and let the fault come after it.

    Raises:
        Cut: The connection was cut.
    """
    await response.write(event(altered(body, fault)))
    if fault == "garbage":
        await response.write(f"data: {_NO_JSON}\n\n".encode())
    if fault == "cut":
        _abort(request)
    if fault == "trickle":
        await asyncio.sleep(_PAUSE)


async def _trickling(payload: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(payload), _PIECE):
        await asyncio.sleep(_PAUSE)
        yield payload[at : at + _PIECE]


def _abort(request: web.Request) -> NoReturn:
    if request.transport is not None:
        request.transport.abort()
    raise Cut
