"""How long the imports take: medians over fresh processes.

make bench-imports
"""

from __future__ import annotations

import subprocess
import sys
from statistics import median

TIMED = "import time; {before}; t = time.perf_counter(); {work}; print(time.perf_counter() - t)"
LANGCHAIN = (
    "import langchain_core.language_models, langchain_core.prompts, langchain_core.output_parsers"
)


NAMES = (
    "from langchain_core.language_models import BaseChatModel; "
    "from langchain_core.prompts import ChatPromptTemplate; "
    "from langchain_core.output_parsers import StrOutputParser"
)


def milliseconds(before: str, work: str, times: int = 9) -> float:
    """Median time of an import in a process that has done `before`."""
    code = TIMED.format(before=before, work=work)
    runs = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
        for _ in range(times)
    ]
    return 1000 * median(runs)


def main() -> None:
    """Print the figures."""
    everything = "import thinktwice; [getattr(thinktwice, name) for name in thinktwice.__all__]"
    print(f"import thinktwice: {milliseconds('pass', 'import thinktwice'):.0f} ms (target 120)")
    print(f"  and every public name of it: {milliseconds('pass', everything):.0f} ms (target 120)")
    added = milliseconds(LANGCHAIN, "import langchain_thinktwice")
    print(f"import langchain_thinktwice after langchain_core: {added:.0f} ms (target 100)")
    added = milliseconds(NAMES, "import langchain_thinktwice")
    print(f"  after a name of each, since those packages load lazily: {added:.0f} ms (target 100)")
    print(f"  langchain_core itself: {milliseconds('pass', LANGCHAIN):.0f} ms")


if __name__ == "__main__":
    main()
