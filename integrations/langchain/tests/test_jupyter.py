"""A notebook, executed by a kernel of this interpreter, in whose cells an event loop runs."""

from __future__ import annotations

import sys
from typing import Any

import pytest

pytest.importorskip("ipykernel", reason="a notebook needs ipykernel")
pytest.importorskip("nbclient", reason="notebooks are executed by nbclient")

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

SETUP = """
import asyncio, os, signal, threading, time
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import vote
from thinktwice.stop import AtMost

model = FakeListChatModel(responses=["391", "391", "392"]) | StrOutputParser()
wrapped = vote(model, n=3, stop=AtMost(3), include_result=True)
"""
UNLIKE = """
different = iter("abcdabcd")
unlike = vote(RunnableLambda(lambda _: next(different)), n=4, stop=AtMost(4))
unlike.invoke("?")
"""
# What an interrupt has to end; the last of the calls sends it, as the notebook's button does.
SLOW = """
begun, ended, loop = [], [], asyncio.get_running_loop()

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    loop.call_soon_threadsafe(int)  # ipykernel looks at the signal when its loop next wakes up

async def slowly(_):
    begun.append(1)
    if len(begun) == 3:
        threading.Timer(0.05, interrupt).start()
    try:
        await asyncio.sleep(60)
    finally:
        ended.append(1)

def blocking(_):
    begun.append(1)
    if len(begun) == 3:
        threading.Timer(0.05, interrupt).start()
    time.sleep(0.3)
    ended.append(1)

slow = vote(RunnableLambda(blocking, afunc=slowly), n=3, stop=AtMost(3), prefer="latency")
"""
LEFT = """
await asyncio.sleep(0.5)
tasks = [each for each in asyncio.all_tasks() if "thinktwice" in repr(each.get_coro())]
threads = [each.name for each in threading.enumerate() if each.name.startswith("thinktwice")]
print(len(begun), len(ended), tasks, [each for each in threads if "background" not in each])
"""


class Here(KernelSpecManager):
    """Knows one kernel: this interpreter, whatever is registered."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="here", language="python")


@pytest.fixture
def executed(tmp_path):
    """Runs the cells of a notebook, and returns them with their outputs, errors among these."""

    class Kernels(AsyncKernelManager):
        """Starts that one; its sockets are files."""

        def __init__(self, **settings: Any) -> None:
            own = {"transport": "ipc", "ip": str(tmp_path / "ipc")}
            super().__init__(**{**settings, **own, "kernel_spec_manager": Here()})

    async def execute(*sources: str) -> list[Any]:
        notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
        client = NotebookClient(
            notebook,
            kernel_manager_class=Kernels,
            kernel_name="here",
            timeout=30,
            allow_errors=True,
        )
        await client.async_execute()
        return notebook.cells

    return execute


def printed(cell, stream="stdout"):
    """What a cell wrote."""
    named = [each for each in cell.outputs if each.get("name") == stream]
    return "".join(each["text"] for each in named)


def shown(cell):
    """What a cell came to, by MIME type."""
    return next(each["data"] for each in cell.outputs if each.output_type == "execute_result")


def raised(cell):
    """Name of the error that ended a cell."""
    return [each["ename"] for each in cell.outputs if each.output_type == "error"]


@pytest.mark.slow
async def test_a_notebook(executed):
    """`invoke` in the running loop, `await ainvoke`, tables, and each warning once."""
    cells = await executed(
        SETUP,
        "wrapped.invoke('What is 17 * 23?')['value']",
        "(await wrapped.ainvoke('What is 17 * 23?'))['value']",
        "[each async for each in vote(model, n=3).astream('?')]",
        "wrapped.invoke('?')['result']",
        "wrapped.invoke('?')['result'].ledger",
        UNLIKE,
        UNLIKE,
    )
    assert [raised(cell) for cell in cells] == [[]] * len(cells)
    assert shown(cells[1])["text/plain"] == "'391'"
    assert shown(cells[2])["text/plain"] == "'391'"
    assert shown(cells[3])["text/plain"] == "['391']"
    result, ledger = shown(cells[4])["text/html"], shown(cells[5])["text/html"]
    assert "<table" in result
    assert "<table" in ledger
    assert not any(secret in result + ledger for secret in ("391", "392"))
    assert "4 different answers" in printed(cells[6], "stderr")
    assert "different" not in printed(cells[7], "stderr")


@pytest.mark.slow
async def test_interrupting_a_cell(executed):
    """The run is cancelled, its calls are too where they can be, and the kernel goes on."""
    cells = await executed(
        SETUP + SLOW,
        "await slow.ainvoke('?')",
        LEFT,
        "begun.clear(); ended.clear(); slow.invoke('?')",
        LEFT,
        "(await wrapped.ainvoke('?'))['value'], wrapped.invoke('?')['value']",
    )
    assert raised(cells[1]) in (["CancelledError"], ["KeyboardInterrupt"])
    assert printed(cells[2]) == "3 3 [] []\n"
    assert raised(cells[3]) == ["KeyboardInterrupt"]
    assert printed(cells[4]) == "3 3 [] []\n"
    assert shown(cells[5])["text/plain"] == "('391', '391')"
