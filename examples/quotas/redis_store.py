"""Quotas of several machines, counted in Redis: a `QuotaStore` of one Lua script for each method.

A quota is three hashes, of what was spent, of the open holds, and of those that were lost with
their process. Redis runs a script at once and alone, so that each method is atomic; its clock is
the clock of all machines. Sums are exact up to 2**53 units, about nine thousand dollars a window.

```console
$ pip install thinktwice redis
$ python examples/quotas/redis_store.py redis://localhost:6379
```
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

try:
    from redis import Redis, RedisError
except ModuleNotFoundError:
    if __name__ != "__main__":
        raise
    sys.exit("this needs the client of Redis: pip install redis")

from thinktwice import RunError
from thinktwice.quota import Amounts, Caps, Hold, check_quota_store

if TYPE_CHECKING:
    from collections.abc import Sequence

Ticket = tuple[str, int, str]
"""Name and window of its quota, and its number there."""

COMMON = """
local spent, holds, lost = KEYS[1], KEYS[2], KEYS[3]
local kinds = {'calls', 'tokens', 'cost'}
local forget = tonumber(table.remove(ARGV, 1))
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6

local function words(text)  -- of a hold: when it expires, what it holds, what is lost with it
  local found = {}
  for word in string.gmatch(text, '%S+') do table.insert(found, tonumber(word)) end
  return found
end
local function charge(amounts, first, sign)
  for i, kind in ipairs(kinds) do
    redis.call('HINCRBY', spent, kind, string.format('%.0f', sign * amounts[first + i - 1]))
  end
end
local function read()
  local was, held = {}, {0, 0, 0}
  for i, kind in ipairs(kinds) do was[i] = tonumber(redis.call('HGET', spent, kind) or '0') end
  for _, text in ipairs(redis.call('HVALS', holds)) do
    local hold = words(text)
    for i = 1, 3 do held[i] = held[i] + hold[i + 1] end
  end
  return was, held
end
local function free(id)
  if redis.call('HDEL', holds, id) == 1 then return end
  local text = redis.call('HGET', lost, id)
  if text and redis.call('HDEL', lost, id) == 1 then charge(words(text), 5, -1) end
end
local function finish()
  if forget == 0 then return end
  for _, key in ipairs(KEYS) do redis.call('EXPIREAT', key, forget) end
end
local found = redis.call('HGETALL', holds)
for at = 1, #found, 2 do
  local hold = words(found[at + 1])
  if hold[1] <= now then
    redis.call('HDEL', holds, found[at])
    redis.call('HSET', lost, found[at], found[at + 1])
    charge(hold, 5, 1)
  end
end
"""

TOTALS = """
local was, held = read()
local told = {}
for i = 1, 3 do
  told[i], told[i + 3] = string.format('%.0f', was[i]), string.format('%.0f', held[i])
end
finish()
return told
"""

HOLD = """
local seconds, instead = tonumber(ARGV[1]), ARGV[2]
local was, held = read()
local gives = redis.call('HGET', holds, instead) or redis.call('HGET', lost, instead)
local back = gives and words(gives) or {0, 0, 0, 0, 0, 0, 0}
local first = redis.call('HEXISTS', lost, instead) == 1 and 4 or 1
for i = 1, 3 do
  local total = was[i] + held[i] - back[first + i]
  for at = 6, #ARGV, 6 do total = total + tonumber(ARGV[at + i - 1]) end
  if ARGV[2 + i] ~= '' and total > tonumber(ARGV[2 + i]) then return false end
end
free(instead)
local tickets = {}
for at = 6, #ARGV, 6 do
  local id = tostring(redis.call('HINCRBY', spent, 'tickets', 1))
  local hold = {string.format('%.6f', now + seconds)}
  for i = 0, 5 do table.insert(hold, ARGV[at + i]) end
  redis.call('HSET', holds, id, table.concat(hold, ' '))
  table.insert(tickets, id)
end
finish()
return tickets
"""

SETTLE = """
free(ARGV[1])
charge({ARGV[2], ARGV[3], ARGV[4]}, 1, 1)
finish()
"""

RELEASE = """
free(ARGV[1])
finish()
"""


class RedisStore:
    """A `QuotaStore` in Redis.

    Attributes:
        prefix: Of its keys.
    """

    def __init__(self, client: Redis, *, prefix: str = "quota") -> None:
        """Take a client; give it a `socket_timeout`, since an event loop waits for it."""
        self.prefix = prefix
        self._totals = client.register_script(COMMON + TOTALS)
        self._hold = client.register_script(COMMON + HOLD)
        self._settle = client.register_script(COMMON + SETTLE)
        self._release = client.register_script(COMMON + RELEASE)

    def totals(self, name: str, window: int) -> tuple[Amounts, Amounts]:
        """What was spent, and what is held."""
        told = self._run(self._totals, name, window, ())
        numbers = [int(each) for each in cast("list[bytes]", told)]
        return Amounts(*numbers[:3]), Amounts(*numbers[3:])

    def hold(
        self,
        name: str,
        window: int,
        holds: Sequence[Hold],
        *,
        caps: Caps | None,
        instead: object,
        seconds: float,
    ) -> Sequence[object] | None:
        """Hold all that fits within the caps, or nothing."""
        most = ["" if cap is None else cap for cap in caps or Caps()]
        asked = [number for each in holds for part in each for number in part]
        told = self._run(self._hold, name, window, (seconds, _number(instead), *most, *asked))
        if told is None:
            return None
        return [(name, window, each.decode()) for each in cast("list[bytes]", told)]

    def settle(self, name: str, window: int, ticket: object, spent: Amounts) -> None:
        """Charge a call, and free its hold."""
        self._run(self._settle, name, window, (_number(ticket), *spent))

    def release(self, ticket: object) -> None:
        """Free a hold."""
        if ticket is not None:
            name, window, number = cast("Ticket", ticket)
            self._run(self._release, name, window, (number,))

    def _run(self, script: object, name: str, window: int, arguments: Sequence[object]) -> object:
        tag = f"{self.prefix}:{{{name}:{window}}}"  # braces: all in one slot of a cluster
        keys = [f"{tag}:{part}" for part in ("spent", "holds", "lost")]
        forget = window and window + 2 * 86_400
        try:
            return script(keys=keys, args=(forget, *arguments))  # type: ignore[operator]
        except RedisError as error:
            message = f"the quotas in Redis cannot be read or written: {type(error).__name__}"
            raise RunError(message) from error


def _number(ticket: object) -> str:
    return "" if ticket is None else cast("Ticket", ticket)[2]


def main(url: str) -> None:
    """Try it out."""
    try:
        client = Redis.from_url(url, socket_timeout=1)
        check_quota_store(lambda: RedisStore(client, prefix="quota-check"))
    except (ValueError, RunError) as error:  # no URL of Redis, or nobody there
        sys.exit(str(error))
    print("Redis keeps what quotas rely on")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [url]:
            main(url)
        case _:
            sys.exit(f"usage: python {sys.argv[0]} redis://localhost:6379")
