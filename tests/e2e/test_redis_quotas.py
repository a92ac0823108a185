"""Quotas in Redis, as the example counts them: in a real server, where there is one."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from thinktwice import Budget, BudgetExceeded, RunError, Vote, solve
from thinktwice.quota import Amounts, Hold, Quota, check_quota_store
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler

pytestmark = pytest.mark.usefixtures("silent_remarks")
redis = pytest.importorskip("redis", reason="the client of Redis is not installed")
EXAMPLE = Path(__file__).parents[2] / "examples" / "quotas" / "redis_store.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of our own, on a socket in a folder."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    folder = tmp_path_factory.mktemp("redis")
    socket = str(folder / "redis.sock")
    command = [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:  # noqa: S603 - our own
        client = redis.Redis(unix_socket_path=socket, socket_timeout=5)
        for _ in range(500):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.01)  # it starts
        yield client
        client.close()
        running.terminate()


@pytest.fixture(scope="module")
def example():
    """What the example defines."""
    return runpy.run_path(str(EXAMPLE))


@pytest.fixture
def store(server, example):
    """In an empty database."""
    server.flushall()
    return example["RedisStore"](server)


def test_it_does_what_quotas_rely_on(server, example):
    """All that any store must do, from several threads."""
    check_quota_store(lambda: example["RedisStore"](server))


async def test_a_quota_holds_in_it(store):
    """For all requests together."""
    quota = Quota("tenant", Budget(calls=5), per="day", store=store)
    strategy = Vote(3, stop=AtMost(3), hedge=False)
    ask = ScriptedSampler(["a"], input_tokens=3, output_tokens=4, max_tokens=4)
    for launched in (3, 2):
        with quota.scope():
            assert (await solve("q", sampler=ask, strategy=strategy)).launched == launched
    with quota.scope(), pytest.raises(BudgetExceeded):
        await solve("q", sampler=ask, strategy=strategy)
    assert quota.spent.calls == 5


def test_windows_are_forgotten_two_days_after_their_end(store, server):
    """By Redis itself."""
    ends = int(time.time()) + 60
    one = Hold(Amounts(1, 0, 0), Amounts())
    store.hold("q", ends, [one], caps=None, instead=None, seconds=60)
    store.settle("q", ends, None, Amounts(1, 0, 0))
    store.hold("q", ends, [one], caps=None, instead=None, seconds=-1)
    store.totals("q", ends)
    left = [server.ttl(key) for key in server.scan_iter()]
    assert len(left) == 3
    assert all(2 * 86_400 < each <= 2 * 86_400 + 60 for each in left)


def test_a_server_that_is_gone_refuses_what_comes_next(example):
    """With an error of the run, as any store."""
    gone = example["RedisStore"](redis.Redis(unix_socket_path="/nowhere.sock"))
    with pytest.raises(RunError, match="ConnectionError"):
        gone.totals("q", 0)
