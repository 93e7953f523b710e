"""Check `pickle-trusted-misuse`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.code_names import acting_names
from weighbridge.analysis.disassembly import disassembly
from weighbridge.analysis.pickle_calls import Named, follows, only_makes_text, read, tree
from weighbridge.analysis.pickle_names import Reached, reached
from weighbridge.analysis.pickled_code import codes_in
from weighbridge.core.check import check
from weighbridge.core.evidence import CallTree, Text
from weighbridge.core.finding import Action, Confidence, Finding, Gap, GapKind
from weighbridge.formats.pickle import Pickle
from weighbridge.formats.pickle_machine import members
from weighbridge.formats.pickle_values import Call, Global, Long, Mutable, Value
from weighbridge.intel.names import Standing, classify

MAKES_CODE = ("code", "function", "cell", "skeleton", "lambda")
LOOKED_AT = 5_000
LOADS_BYTES = frozenset({"torch.storage._load_from_bytes"})
"""Names that unpickle the bytes they are given; those bytes are examined as a pickle of their
own, so the call itself says nothing."""


@check("pickle-trusted-misuse", control="payload-scan", reads=Pickle)
def trusted_misuse(pickle: Pickle) -> Iterator[Finding | Gap]:
    """A function that legitimate files use is given arguments that make it act.

    ## Why it matters
    `getattr`, `functools.partial`, `operator.attrgetter` or the function makers of dill and
    cloudpickle occur in honest files. With other arguments they reach any function in the
    process, or carry code of their own. What they are given decides.

    ## What to do
    Read the call tree: it shows what the call is given. A file whose calls cannot be worked out
    hides them on purpose: do not load it. For a pickled function, ask for the source instead.

    ## Limits
    Code inside a pickled function is shown disassembled (CPython 3.6 to 3.14) and judged by the
    names it uses, not executed. A function that takes names from its arguments later on is not
    followed beyond loading.

    ## References
    - https://docs.python.org/3/library/pickle.html#object.__reduce__
    - https://cwe.mitre.org/data/definitions/502.html
    """
    for place in read(pickle).unresolved:
        yield Finding(
            message=f"a call on load hides what it does: {place.why}",
            at=pickle.at(place.source.offset),
            action=Action.BLOCK,
            symbol=place.why,
            confidence=Confidence.LIKELY,
            evidence=(CallTree("What is known of it", root=tree(place.source, place.why)),),
        )
    for found in reached(pickle, Standing.JUDGED):
        yield from _judge(pickle, found)
    for callee, count in sorted(pickle.overflow.items()):
        module, _, name = callee.rpartition(".")
        if classify(module, name).standing is not Standing.NEEDED:
            yield Gap(
                kind=GapKind.TOO_LARGE,
                message=f"{count:,} further calls of {callee or 'computed names'} were not "
                "looked at one by one",
                at=pickle.where,
            )


def _judge(pickle: Pickle, found: Reached) -> Iterator[Finding]:
    target, use = found.target, found.first
    if target.dotted in LOADS_BYTES and all(_is_bytes(a) for u in found.uses for a in u.args):
        return
    if only_makes_text(target):
        return
    if target.name == "type" and all(len(u.args) <= 1 for u in found.uses):
        return  # with one argument it asks for a type and makes none
    if follows(target) and found.called:
        return  # what it reaches is reported under its own name
    if _makes_code(target):
        yield from _code(pickle, found)
        return
    if not found.called and _is_class(target):
        return
    verb = "calls" if found.called else "imports and hands on"
    yield Finding(
        message=f"loading this file {verb} {target.dotted}: {found.name.why}",
        at=pickle.at(use.source.offset),
        action=Action.REVIEW,
        symbol=target.dotted,
        confidence=Confidence.LIKELY,
        evidence=(CallTree("How it is used", root=tree(use.source, found.name.why)),),
    )


def _is_bytes(value: Value) -> bool:
    """Bytes that stand in the file; before protocol 3 they are a string and how to encode it."""
    if isinstance(value, Call) and isinstance(value.callee, Global):
        return value.callee.name == "encode" and isinstance(value.args[0], str | Long)
    return isinstance(value, bytes | Long)


def _is_class(target: Named) -> bool:
    return target.name.rpartition(".")[2].lstrip("_")[:1].isupper() or target.name in (
        "partial",
        "type",
    )


def _makes_code(target: Named) -> bool:
    name = target.name.lower()
    return any(part in name for part in MAKES_CODE)


def _code(pickle: Pickle, found: Reached) -> Iterator[Finding]:
    """Pickled functions: code objects in pieces. One finding for each maker of code."""
    codes = codes_in(use.source for use in found.uses[:64])
    texts = [_names(use.args) for use in found.uses[:64]]
    names = sorted(set().union(*texts, *({t for t in c.texts() if len(t) < 200} for c in codes)))
    acting = acting_names(names)
    called = _result_called(pickle, {id(u.source) for u in found.uses})
    action = Action.BLOCK if acting or called else Action.REVIEW
    what = f"using {', '.join(acting[:6])}" if acting else "that is not a model's data"
    yield Finding(
        message=f"this file carries Python code ({found.target.dotted}) {what}"
        + (" and calls it while it loads" if called else ""),
        at=pickle.at(found.first.source.offset),
        action=action,
        symbol=found.target.dotted,
        evidence=(
            CallTree("How the code is made", root=tree(found.first.source, "makes code")),
            *(disassembly(code) for code in codes),
            Text("Names and strings in the code", text="\n".join(names[:200])),
        ),
    )


def _names(values: tuple[Value, ...]) -> set[str]:
    """The short strings among the values and what they are made of: names, constants."""
    names: set[str] = set()
    waiting: list[Value] = list(values)
    looked = 0
    while waiting and looked < LOOKED_AT:
        looked += 1
        value = waiting.pop()
        if isinstance(value, str) and len(value) < 200:
            names.add(value)
        elif isinstance(value, Call):
            waiting += value.args[:64]
        elif isinstance(value, tuple | Mutable):
            waiting += members(value)[:256]
    return names


def _result_called(pickle: Pickle, makers: set[int]) -> bool:
    """Whether a call's callee is itself made by one of these calls."""
    for call in pickle.calls:
        callee = call.callee
        if call.how == "BUILD" or not isinstance(callee, Call):
            continue
        if id(callee) in makers and not isinstance(callee, Global):
            return True
    return False
