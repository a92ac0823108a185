"""What is compared: peers, and what each of them is made to do."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Peer:
    """A library, in an environment of its own.

    Attributes:
        name: Its name.
        environment: Folder of its environment, below the root.
        runner: Its script, in this folder.
        distribution: What its version is that of.
    """

    name: str
    environment: str
    runner: str
    distribution: str

    @property
    def python(self) -> Path:
        """The interpreter."""
        return ROOT / self.environment / "bin" / "python"

    @property
    def version(self) -> str:
        """What is installed of it."""
        code = f"from importlib.metadata import version; print(version({self.distribution!r}))"
        told = subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True)
        return f"{self.distribution} {told.stdout.strip()}"

    @property
    def missing(self) -> str | None:
        """Why it cannot be run."""
        if self.environment == ".venv" or (ROOT / self.environment / ".made").exists():
            return None
        log = ROOT / self.environment / ".log"
        said = log.read_text("ascii", "ignore").split() if log.exists() else []
        return "not installed: " + (" ".join(said)[:200] if said else "run make bench-peers")


HAND = Peer("by hand", ".venv", "run_by_hand.py", "openai")
OURS = Peer("thinktwice", ".venv", "run_thinktwice.py", "thinktwice")
ITS_HUB = Peer("its-hub", ".venv-peer-its-hub", "run_its_hub.py", "its-hub")
DSPY = Peer("DSPy", ".venv-peer-dspy", "run_dspy.py", "dspy")
OPTILLM = Peer("optillm", ".venv-peer-optillm", "run_optillm.py", "optillm")
ADAPTIVE = Peer(
    "AdaptiveConsistency",
    ".venv-peer-adaptive-consistency",
    "run_adaptive_consistency.py",
    "AdaptiveConsistency",
)
PEERS = (OURS, ITS_HUB, DSPY, OPTILLM, ADAPTIVE, HAND)


@dataclass(frozen=True)
class Arm:
    """One way to use a peer.

    Attributes:
        peer: Whose.
        name: What the runner calls it.
        samples: Fewest and most samples that a question may take when nothing goes wrong.
        requests: The same for requests, where it differs.
        where: "clean" runs, "rough" ones in which something goes wrong, "both", or clean ones with
            "scores".
    """

    peer: Peer
    name: str
    samples: tuple[int, int] = (16, 16)
    requests: tuple[int, int] | None = None
    where: str = "both"

    @property
    def title(self) -> str:
        """Peer and arm."""
        return f"{self.peer.name}: {self.name}"


ARMS = (
    Arm(HAND, "single sample", (1, 1)),
    Arm(HAND, "gather 16"),
    Arm(HAND, "gather 16 (aiohttp)", where="clean"),
    Arm(OURS, "Vote(16)", (3, 32)),
    Arm(OURS, "Vote(16) (aiohttp)", (3, 32), where="clean"),
    Arm(OURS, "Vote(16), cost", (3, 32)),
    Arm(OURS, "Vote(16), latency", (3, 32)),
    Arm(OURS, "Vote(16), all", (16, 32)),
    Arm(OURS, "Vote(16), all (aiohttp)", (16, 32), where="clean"),
    Arm(OURS, "Vote(16), all, 1 s", (16, 32), where="rough"),
    Arm(OURS, "Vote(16), Beta .95", (4, 32), where="clean"),
    Arm(OURS, "LangChain vote(n=16)", (3, 32)),
    Arm(ITS_HUB, "SelfConsistency"),
    Arm(ITS_HUB, "AdaptiveSelfConsistency", (2, 16)),
    Arm(ITS_HUB, "BetaSelfConsistency", (4, 16)),
    Arm(DSPY, "majority of n=16"),
    Arm(DSPY, "majority of 16 acall"),
    Arm(OPTILLM, "self_consistency"),
    Arm(OPTILLM, "majority_voting", requests=(1, 1)),
    Arm(ADAPTIVE, "Beta .95", (4, 16)),
    Arm(OURS, "BestOfN(16)", (16, 32), where="scores"),
    Arm(ITS_HUB, "BestOfN", where="scores"),
    Arm(DSPY, "BestOfN", (1, 16), where="scores"),
)
"""thinktwice hedges stragglers: one call in 20 over all questions, but several of one question."""
