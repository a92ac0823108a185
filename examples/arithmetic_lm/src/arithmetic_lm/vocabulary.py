"""Characters to token numbers and back: every character is one token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

PAD, END, SOLVE = "<pad>", "<end>", "<solve>"
CONTROL = (PAD, END, SOLVE)
CHARACTERS = "\n0123456789+-*=()A:"

LOW, HIGH, CHECK, REVISE = "<low>", "<high>", "<check>", "<revise>"
SKILLS = (LOW, HIGH, CHECK, REVISE)
MORE_CHARACTERS = " >?!abcefghiklmnoprtuw"
SOLVING_TOKENS = CONTROL + tuple(CHARACTERS + MORE_CHARACTERS)
"""The tokens of a model that knows all families: words of price lists as well."""

SKILLED_TOKENS = CONTROL + SKILLS + tuple(CHARACTERS + MORE_CHARACTERS)
"""The tokens of a model that knows all families, and has skills."""


@dataclass(frozen=True)
class Vocabulary:
    """The token table of one weights file.

    The first token of a prompt names the skill asked for (``<solve>``), so a later skill such as
    checking is one more control token and one more family of training texts.

    Args:
        tokens: All tokens; a token's position is its number.
    """

    tokens: tuple[str, ...] = CONTROL + tuple(CHARACTERS)
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numbers", {token: i for i, token in enumerate(self.tokens)})

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def pad(self) -> int:
        """Number of the padding token."""
        return self._numbers[PAD]

    @property
    def end(self) -> int:
        """Number of the token that ends a text."""
        return self._numbers[END]

    @property
    def silent(self) -> list[int]:
        """Numbers of the control tokens a model must never write (all but the end token)."""
        return [i for i, token in enumerate(self.tokens) if len(token) > 1 and token != END]

    def encode(self, text: str, *, skill: str | None = None) -> list[int]:
        """Return the token numbers of `text`, after the control token `skill` if given.

        Raises:
            KeyError: A character is not in the table.
        """
        head = [] if skill is None else [self._numbers[skill]]
        return head + [self._numbers[character] for character in text]

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the text of token `numbers`, leaving control tokens out."""
        return "".join(t for t in map(self.tokens.__getitem__, numbers) if len(t) == 1)

    def prompt(self, expression: str, *, skill: str = SOLVE) -> list[int]:
        """Return what the model reads for an expression such as ``"37*8+56"``.

        Raises:
            KeyError: The model has no such skill, or a character is not in the table.
        """
        return self.encode(f"{expression}=\n", skill=skill)

    @property
    def has_skills(self) -> bool:
        """Whether there are tokens to ask for checks, revisions and efforts."""
        return set(SKILLS) <= set(self.tokens)

    @property
    def has_words(self) -> bool:
        """Whether the questions of all families can be written."""
        return self.knows(MORE_CHARACTERS)

    def knows(self, text: str) -> bool:
        """Tell whether every character of `text` is in the table."""
        return all(character in self._numbers for character in text)

    def count(self, text: str | Sequence[int]) -> int:
        """Return the number of tokens of `text`: one per character."""
        return len(text)
