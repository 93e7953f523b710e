"""Check `torch-mobile-operator`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.torch_mobile import MobileBytecode
from weighbridge.intel import torch_operators

SHOWN = 100


@check("torch-mobile-operator", control="payload-scan", reads=MobileBytecode)
def torch_mobile_operator(bytecode: MobileBytecode) -> Iterator[Finding]:
    """The bytecode of a mobile archive reaches files, or calls operators that are not torch's own.

    ## Why it matters
    The lite interpreter runs `bytecode.pkl`, not the source beside it: the source may be missing,
    or say something else. Its operators can write and map files, and a custom one runs the native
    library that registered it.

    ## What to do
    Do not load an archive that writes or reads files, or calls other machines. For custom
    operators, ask which library registers them and whether you need it.

    ## Limits
    Instructions are not followed: an operator that is listed may never be reached.

    ## References
    - https://docs.pytorch.org/docs/stable/mobile_optimizer.html
    - https://cwe.mitre.org/data/definitions/73.html
    """
    users: dict[str, list[str]] = defaultdict(list)
    for function in bytecode.functions:
        for operator in dict.fromkeys(function.operators):
            users[operator].append(function.name)
    for operator, functions in sorted(users.items()):
        namespace, _, name = operator.partition("::")
        does = torch_operators.effect(namespace, name)
        if does is None and torch_operators.known(namespace):
            continue
        rows = tuple((f[:120],) for f in functions[:SHOWN])
        yield Finding(
            message=f"the bytecode calls {operator[:100]}, which {does}"
            if does
            else f"the bytecode calls the custom operator {operator[:100]}",
            at=bytecode.where,
            action=Action.BLOCK if does else Action.REVIEW,
            symbol=operator[:200],
            evidence=(Table("Where it is called", ("function",), rows),),
        )
