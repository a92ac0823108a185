"""An assistant that takes orders: its answers are checked by tools, and its actions before it acts.

Four scenes: a form that is repaired, a sum that is corrected, a vote that counts only what passed,
and a payment that is refused or mended before it is made. Replies of a model are written down here,
so that no key and no network are needed; the tools are real.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pydantic import BaseModel, PositiveInt

from thinktwice import Sample, ToolCheck, Vote, solve
from thinktwice.before import check_before
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers import Calculator, Schema, Tool

if TYPE_CHECKING:
    from thinktwice import Result, Verdict
    from thinktwice.before import Action

STOCK = {"chair": 3, "table": 9}
PRICES = {"chair": 30, "table": 120}  # EUR


class Order(BaseModel):
    """What a customer wants."""

    item: str
    count: PositiveInt


def in_stock(value: str) -> bool:
    """Order an item that we have, and no more of it than 3 chairs or 9 tables."""
    order = Order.model_validate_json(value)
    return order.count <= STOCK.get(order.item, 0)


def is_order(value: str) -> bool:
    """Whether there is an order to look up."""
    return not Schema(Order).problems(value)


def transfer(to: str, euros: PositiveInt) -> str:
    """Pay a supplier. Nothing in this script calls it without a check."""
    return f"paid {euros} EUR to {to}"


def within_limit(action: Action) -> bool:
    """More than 500 EUR takes the consent of a person."""
    euros = action.args["euros"]
    return isinstance(euros, int) and euros <= 500  # noqa: PLR2004 - as it says


def try_transfer(to: str, euros: int) -> dict[str, float]:
    """What a payment would cost, without paying."""
    if to not in {"Oak & Sons", "Beech Ltd"}:
        raise ValueError(f"there is no supplier {to!r}; there are 'Oak & Sons' and 'Beech Ltd'")
    return {"fee": 0.01 * euros}


def say(verdict: Verdict, of: str = "") -> None:
    """What a tool said."""
    said = f": {'; '.join(verdict.evidence) or verdict.feedback}" * (verdict.outcome != "pass")
    print(f"  {verdict.outcome:<8}  {verdict.verifier}{of}{said}")


def show(title: str, result: Result[str], draft: Verdict | None = None) -> None:
    """What was drawn, what was said of it, and what is returned.

    A result has the last verdict on each sample; the one before a correction is `draft`.
    """
    print(f"\n{title}")
    for sample in result.samples:
        print(f"  drawn     {sample.value or '(rejected)'}".replace("\n", "\n            "))
    if draft is not None:
        say(draft, of=", the draft")
    for before, after in result.changes:
        print(f"  changed   {before}  ->  {after}")
    for verdict in result.verdicts:
        say(verdict, of=", as changed" * bool(result.changes))
    print(f"  returned  {result.value}".replace("\n", "\n            "))
    for warning in result.warnings:
        print(f"  warning   {warning}")
    print(f"  ran       models: {result.ledger.total.calls}, tools: {result.ledger.total.tools}")


async def repaired() -> Result[str]:
    """The form is wrong, then the count; each time the model hears why."""
    model = ScriptedSampler(
        [
            '{"item": "chair", "count": "four"}',
            '{"item": "chair", "count": 4}',
            '{"item": "chair", "count": 3}',
        ]
    )
    strategy = ToolCheck(Schema(Order), Tool(in_stock, applies=is_order))
    prompt = "As JSON: four chairs, or as many as there are."
    return await solve(prompt, sampler=model, strategy=strategy)


async def corrected() -> tuple[Result[str], Verdict]:
    """The slip is computed anew, and what follows from it; the rest stays as it was written."""
    reply = "3 chairs: 3 * 30 = 80 EUR\n80 + 120 = 200 EUR\nThe answer is 200 EUR."
    strategy = ToolCheck(Calculator(), on_fail="inject")
    result = await solve("The total?", sampler=ScriptedSampler([reply]), strategy=strategy)
    return result, await Calculator()(Sample(index=0, value=reply), prompt="The total?")


async def voted() -> Result[str]:
    """The most frequent answer is not in stock, so it does not count."""
    replies = [f'{{"item": "chair", "count": {count}}}' for count in (4, 4, 3, 4, 3)]
    strategy = Vote(5, of=ToolCheck(in_stock, on_fail="reject"))
    return await solve("How many?", sampler=ScriptedSampler(replies), strategy=strategy)


async def act(args: dict[str, object]) -> None:
    """Pay, if nothing is against it; a model may mend the arguments once."""
    model = ScriptedSampler(['{"to": "Oak & Sons", "euros": 200}'])
    decision = await check_before(
        {"name": "transfer", "args": args},
        within_limit,
        tool=transfer,
        dry_run=try_transfer,
        repair=model if args.get("to") == "Oak" else None,
        prompt="Pay Oak & Sons the 200 EUR.",
    )
    print(f"  proposed  {args}")
    for reason in decision.reasons:
        print(f"  refused   {reason}".replace("\n", " "))
    if decision:
        mended = f", after a repair: {dict(decision.action.args)}" if decision.repaired else ""
        print(f"  allowed   {transfer(**decision.action.args)}{mended}")  # type: ignore[arg-type]


async def main() -> None:
    """The four scenes."""
    show("A form, repaired", await repaired())
    show("A sum, corrected", *await corrected())
    show("A vote over what passed", await voted())
    print("\nA payment, checked before it is made")
    await act({"to": "Beech Ltd", "euros": 120})
    await act({"to": "Beech Ltd", "euros": "a lot"})
    await act({"to": "Beech Ltd", "euros": 5000})
    await act({"to": "Oak", "euros": 200})


if __name__ == "__main__":
    asyncio.run(main())
