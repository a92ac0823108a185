"""What the samples of a run give reason to say: identical, cached, or all different."""

from __future__ import annotations

import inspect
import logging
import sysconfig
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from thinktwice.errors import ThinktwiceWarning
from thinktwice.sample import NO_USAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thinktwice.sample import Sample

_ENOUGH = 4
_LONG = 60

CACHED = (
    "several samples were answered from a cache, so they are one sample counted many times: switch "
    "the cache off for this model, give each sample a seed, or keep an entry for each sample"
)
IDENTICAL = (
    "the first samples have the same long text: a temperature of 0, a cache, or an option that "
    "does not reach the model; set a temperature with options={'temperature': 0.7}"
)
ALL_DIFFERENT = (
    "the first 4 usable samples have 4 different answers, so a vote decides little: give key= "
    "(such as 'number', 'choice' or 'json:field'), equivalent=, or use best-of-N with a verifier"
)
ALL_ABSTAINED = (
    "every sample abstained (cut short, refused, rejected inside, empty, in a format that could "
    "not be read, or without an answer under key=), so the value is None: look at result.samples, "
    "and then raise max_tokens, check key= or the output format, or look at result.nested"
)
UNPRICED = (
    "a call has no known price under a cap on cost, so it was charged all that it held: pass "
    "prices={model: Price(...)}, or cap calls or tokens instead"
)
UNSEEN = (
    "a call inside a sample was not seen, or nobody counted its tokens, so a cap on tokens or cost "
    "is kept by estimates: make calls by clients of the framework, where the context of the sample "
    "reaches (copy it into threads)"
)
UNHEARD = (
    "no model call of the framework was heard of in the samples: calls made by other clients are "
    "not counted, and no cap but that on time holds for them"
)
UNJUDGED = (
    "no sample could be judged, so their answers were counted like votes: see result.verdicts for "
    "the errors of the verifier"
)
FAILED = "the answer that is returned did not pass the check"
NONE_PASSED = "no sample passed the exact verifier: this is the most frequent answer of the rest"
FAST_DIFFER = (
    "some answers of this sampler come faster than others, so votes are counted in launch order, "
    "which is fair and slower: say count='launch', or prefer='cost', which counts so anyway"
)
UNWEIGHTED = (
    "no sample has a confidence, so all votes weigh the same: ask the provider for "
    "log-probabilities (such as logprobs=True, top_logprobs=20), or check confidence= or weight="
)
CUT_INSIDE = (
    "a budget cut runs inside the samples short, so these are not what they could have been: see "
    "result.nested"
)
CUT = "a budget cut the run short: this is the best answer so far, result.stopped_by says which cap"


def remarks(
    samples: Sequence[Sample[object]],
    *,
    answered: bool,
    cut: bool,
    cost_capped: bool = False,
    capped: bool = False,
    cut_inside: bool = False,
    replayed: int = 0,
    unheard: int = 0,
) -> Iterable[str]:
    """What a caller should know of the samples of a run.

    Args:
        samples: In launch order.
        answered: There is an answer.
        cut: A budget ended the run.
        cost_capped: The run has a cap on its cost.
        capped: It has one on tokens or cost.
        cut_inside: A budget ended a run inside a sample.
        replayed: Samples from a cache that keeps one for each draw.
        unheard: Samples of a framework that tells of its calls, and told of none.
    """
    usable = [sample for sample in samples if sample.error is None]
    yield from _of_calls(usable, cost_capped=cost_capped, capped=capped, unheard=unheard)
    if answered and cut:
        yield CUT
    elif answered and cut_inside:
        yield CUT_INSIDE
    if not answered and usable and all(sample.answer is None for sample in usable):
        yield ALL_ABSTAINED
    if sum(sample.cached for sample in samples) - replayed > 1:
        yield CACHED
    texts = [sample.text for sample in _first_usable(samples)]
    first = texts[0] if len(texts) == _ENOUGH else None
    if first is not None and len(first) >= _LONG and len(set(texts)) == 1:
        yield IDENTICAL


def _of_calls(
    usable: Sequence[Sample[object]], *, cost_capped: bool, capped: bool, unheard: int
) -> Iterable[str]:
    """What of them was not seen, or has no price."""
    used = [sample.usage for sample in usable]
    if 0 < unheard == len(used):
        yield UNHEARD
    elif capped and any(each.total_tokens is None and each != NO_USAGE for each in used):
        yield UNSEEN
    elif cost_capped and any(sample.cost is None for sample in usable):
        yield UNPRICED


def all_different(samples: Sequence[Sample[object]]) -> bool:
    """The first samples that could have agreed all have another answer."""
    return len({sample.answer for sample in _first_usable(samples)}) == _ENOUGH


def _first_usable(samples: Sequence[Sample[object]]) -> Sequence[Sample[object]]:
    return [sample for sample in samples if sample.answer is not None][:_ENOUGH]


_told: set[str] = set()


def tell_once(message: str) -> None:
    """Issue a Python warning, once a process for each message.

    It points at the line of the caller's own code that led here, if that is on the stack: a request
    that came in by a sync method runs on a thread of its own.
    """
    if message not in _told:
        _told.add(message)
        warnings.warn(message, ThinktwiceWarning, stacklevel=_level_of_the_caller())


def tell_safely(message: str) -> None:
    """Like `tell_once`, for what must neither end a run nor a thread.

    A filter may turn the warning into an error; a hook, or a logging handler, may raise one. Then
    it is logged instead.
    """
    try:
        tell_once(message)
    except Exception:  # noqa: BLE001 - see above
        with suppress(Exception):
            logging.getLogger("thinktwice").warning(message)


def _level_of_the_caller() -> int:
    """How far out from who asks the first frame stands that is of no installed package."""
    paths = sysconfig.get_paths()
    installed = tuple(paths[name] for name in ("stdlib", "purelib", "platlib"))
    frame, level = inspect.currentframe(), 0
    while frame is not None:
        home = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        ours = home.endswith("thinktwice")
        if not ours and not frame.f_code.co_filename.startswith((*installed, "<frozen")):
            return level
        frame, level = frame.f_back, level + 1
    return 2
