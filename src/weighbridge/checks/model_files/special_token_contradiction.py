"""Check `special-token-contradiction`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct, field

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Comparison
from weighbridge.core.fact import SpecialTokens
from weighbridge.core.finding import Action, Confidence, Finding, Related
from weighbridge.core.location import Location
from weighbridge.formats.token_ids import NAMES


class Statement(NamedTuple):
    """What a file says of a special token."""

    at: Location
    subject: str
    value: str


class _Folder(Struct):
    """What the files of one folder say of special tokens."""

    ids: dict[str, list[Statement]] = field(default_factory=lambda: defaultdict(list))
    texts: dict[str, list[Statement]] = field(default_factory=lambda: defaultdict(list))
    tokens: dict[int, str] = field(default_factory=dict)
    numbers: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    vocabulary: int = 0


@check("special-token-contradiction", control="code-and-templates", reads=Audit)
def special_token_contradiction(audit: Audit) -> Iterator[Finding]:
    """The model's configuration and its tokenizer disagree about a special token.

    ## Why it matters
    The number in `eos_token_id` is where an answer ends. If it is that of an ordinary word, every
    answer is cut off there; if the tokenizer's own end is left out, answers run on into what the
    person is not meant to see. A tokenizer that was exchanged or edited leaves such traces.

    ## What to do
    Compare both files with those of the base model, and take the pair that belongs together.

    ## Limits
    Files of one folder are compared, where the tokenizer says its special tokens by number. Which
    of the two a program believes is its own choice. Many models differ in `pad` and `bos` without
    harm: these are notes.

    ## References
    - https://huggingface.co/docs/transformers/main_classes/text_generation
    - https://cwe.mitre.org/data/definitions/436.html
    """
    folders: dict[tuple[str, ...], _Folder] = defaultdict(_Folder)
    for fact in audit.facts:
        for subject, value in fact.said if isinstance(fact, SpecialTokens) else ():
            _take(folders[_folder_of(fact.at)], Statement(fact.at, subject, value))
    for folder in folders.values():
        for name in NAMES:
            yield from _compared(name, folder)


def _take(folder: _Folder, statement: Statement) -> None:
    name, _, kind = statement.subject.partition(" ")
    if statement.subject == "vocabulary":
        folder.vocabulary = max(folder.vocabulary, int(statement.value))
    elif statement.subject == "token":
        number, _, text = statement.value.partition(" ")
        folder.tokens[int(number)] = text
        folder.numbers[text].add(int(number))
    elif kind == "id":
        folder.ids[name].append(statement)
    else:
        folder.texts[name].append(statement)


def _compared(name: str, folder: _Folder) -> Iterator[Finding]:
    stated = {int(s.value): s for s in folder.ids[name]}
    if name == "eos" and folder.vocabulary and folder.tokens:
        for number, statement in sorted(stated.items()):
            if number not in folder.tokens and 0 <= number < folder.vocabulary:
                yield _finding(
                    f"eos_token_id {number} is an ordinary entry of the vocabulary: answers end "
                    "there",
                    statement,
                    None,
                    Action.REVIEW,
                    f"special tokens are {_listed(folder.tokens)}",
                )
    for text in {s.value: s for s in folder.texts[name]}.values():
        known = folder.numbers.get(text.value, set())
        if known and stated and not known & stated.keys():
            numbers = ", ".join(map(str, sorted(known)))
            yield _finding(
                f"{name}_token {text.value[:60]!r} is number {numbers}, and the configuration says "
                + ", ".join(map(str, sorted(stated)[:5])),
                next(iter(stated.values())),
                text,
                Action.NOTE,
                f"{name}_token {text.value[:200]} = {numbers}",
            )


def _listed(tokens: dict[int, str]) -> str:
    return ", ".join(f"{n} {t[:30]}" for n, t in sorted(tokens.items())[:12])


def _finding(
    message: str, stated: Statement, other: Statement | None, action: Action, expected: str
) -> Finding:
    name = stated.subject.partition(" ")[0]
    found = f"{name}_token_id = {stated.value}"
    return Finding(
        message=message,
        at=stated.at,
        action=action,
        symbol=f"{name}_token_id",
        confidence=Confidence.LIKELY,
        related=(Related("the tokenizer", other.at),) if other else (),
        evidence=(Comparison("The token", "the tokenizer", expected, "the configuration", found),),
    )


def _folder_of(at: Location) -> tuple[str, ...]:
    parts = (at.path, *at.inside)
    return (*parts[:-1], parts[-1].rpartition("/")[0])
