"""Prices for Arize Phoenix, which reads no cost from a span: it multiplies tokens by its own."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from thinktwice.addresses import is_address, without_secrets
from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thinktwice.pricing.rates import Quote, Rates

_SECONDS: Final = 10
_KEY: Final = "PHOENIX_API_KEY"
_PROMPT: Final = ("input", "cache_read", "cache_write")
_COMPLETION: Final = ("output", "reasoning")

_READ: Final = """query($after: String) { generativeModels(first: 500, after: $after) {
  edges { node {
    id name provider namePattern kind tokenPrices { tokenType kind costPerMillionTokens }
  } }
  pageInfo { hasNextPage endCursor }
} }"""
_CREATE: Final = """mutation($input: CreateModelMutationInput!) {
  createModel(input: $input) { model { id } }
}"""
_UPDATE: Final = """mutation($input: UpdateModelMutationInput!) {
  updateModel(input: $input) { model { id } }
}"""

_Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """What became of the price of one model.

    Attributes:
        name: Of the model, as it was asked for.
        done: "created", "updated", "unchanged", or "skipped" as it has no price.
        remark: Why Phoenix may still count another cost; empty if nothing is known that it would.
    """

    name: str
    done: Literal["created", "updated", "unchanged", "skipped"]
    remark: str = ""


def write_prices(url: str, quotes: Sequence[Quote]) -> list[Written]:
    """Make these the prices that Phoenix counts with, for the spans that it receives from then on.

    Writing them again changes nothing. Models are custom ones there, which come before those that
    it brings. It looks for new prices every 5 seconds, and spans that it has keep their cost.

    Args:
        url: Where its pages are, such as "http://127.0.0.1:6006". The environment variable
            PHOENIX_API_KEY is its key, if it asks for one.
        quotes: The prices. One without a rate is skipped.

    Raises:
        UsageError: It does not answer there, or refuses.
    """
    server = _Server(url)
    present = list(server.custom())
    return [_write(server, present, each) for each in quotes]


def _write(server: _Server, present: list[_Json], quote: Quote) -> Written:
    if quote.rates is None:
        return Written(quote.name, "skipped", "it has no price")
    if quote.model == "*":
        return Written(quote.name, "skipped", "name its models: Phoenix has none for a provider")
    wanted = _model(quote, quote.rates)
    remark = _remark(quote.rates)
    found = next((each for each in present if _same_model(each, wanted)), None)
    if found is None:
        server.ask(_CREATE, {"input": wanted})
        return Written(quote.name, "created", remark)
    if _content(found) == _content({**wanted, "name": found["name"]}):
        return Written(quote.name, "unchanged", remark)
    changed = {"id": found["id"], **wanted, "name": found["name"]}
    server.ask(_UPDATE, {"input": changed})
    return Written(quote.name, "updated", remark)


def _model(quote: Quote, rates: Rates) -> _Json:
    """It in the words of Phoenix."""
    kinds = [(name, "PROMPT") for name in _PROMPT] + [(name, "COMPLETION") for name in _COMPLETION]
    return {
        "name": quote.name,
        "provider": quote.provider,
        "namePattern": f"^{re.escape(quote.model)}$",
        "costs": [
            {"tokenType": name, "kind": kind, "costPerMillionTokens": float(getattr(rates, name))}
            for name, kind in kinds
        ],
    }


def _same_model(found: _Json, wanted: _Json) -> bool:
    """Phoenix takes no second one with its name, or with its pattern and provider."""
    same = all((found[each] or None) == wanted[each] for each in ("namePattern", "provider"))
    return same or found["name"] == wanted["name"]


def _content(model: _Json) -> object:
    costs: list[_Json] = model.get("costs") or model.get("tokenPrices") or []
    prices = {
        (each["tokenType"], each["kind"]): round(each["costPerMillionTokens"], 9) for each in costs
    }
    return model["name"], model["provider"] or None, model["namePattern"], prices


def _remark(rates: Rates) -> str:
    differing: list[str] = []
    if rates.stepped:
        differing.append("long inputs have another rate, which Phoenix cannot be told")
    if rates.request:
        differing.append("there is a fee for each call, which Phoenix cannot be told")
    return "; ".join(differing)


class _Server:
    """Its GraphQL."""

    def __init__(self, url: str) -> None:
        self._url = url
        if not is_address(url, login=False):
            raise self._wrong(f"give its address, such as http://127.0.0.1:6006; {_KEY} is its key")
        self._headers = {"content-type": "application/json"}
        if key := os.environ.get(_KEY):
            self._headers["authorization"] = f"Bearer {key}"

    def custom(self) -> Iterator[_Json]:
        """Models that somebody added."""
        after = None
        while True:
            page = self.ask(_READ, {"after": after})["generativeModels"]
            yield from (e["node"] for e in page["edges"] if e["node"]["kind"] == "CUSTOM")
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = page["pageInfo"]["endCursor"]

    def ask(self, query: str, variables: _Json) -> _Json:
        """Send a query."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(f"{self._url.rstrip('/')}/graphql", body, self._headers)  # noqa: S310 - http or https, see above
        try:
            with urlopen(request, timeout=_SECONDS) as reply:  # noqa: S310
                read: _Json = dict(json.load(reply))
        except HTTPError as error:
            error.close()
            remedy = f"it answers {error.code}: set {_KEY}" if error.code in {401, 403} else None
            raise self._wrong(remedy or f"it answers {error.code}: is it Phoenix?") from None
        except (URLError, TimeoutError, ConnectionError, HTTPException):
            raise self._wrong("it does not answer: is Phoenix running there?") from None
        except (TypeError, ValueError):
            raise self._wrong("it does not answer as Phoenix does") from None
        if read.get("errors") or not read.get("data"):
            raise self._wrong(_said(read.get("errors")))
        return read["data"]

    def _wrong(self, remedy: str) -> UsageError:
        return UsageError("phoenix", without_secrets(self._url), remedy)


def _said(errors: object) -> str:
    match errors:
        case [{"message": str(message)}, *_]:  # pyright: ignore[reportUnknownVariableType]
            return f"it refuses: {message}"
        case _:
            return "it does not answer as Phoenix does"
