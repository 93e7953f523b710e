"""Check `executorch-operator`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.formats.executorch import Executorch
from weighbridge.intel import torch_operators

SHOWN = 100


@check("executorch-operator", control="payload-scan", reads=Executorch)
def executorch_operator(program: Executorch) -> Iterator[Finding | Gap]:
    """The program needs kernels or backends that are not part of ExecuTorch, or loads native code.

    ## Why it matters
    A program names its kernels and backends; the application that loads it brings their code. One
    that nobody knows comes from the author. Some backends are given a shared library inside the
    file and load it.

    ## What to do
    Find out which library registers each kernel or backend and build it from source you trust. A
    part compiled for a processor cannot be read: ask for the model that it was compiled from.

    ## Limits
    Only names are judged. What a known backend is given is a graph of its own, which is not read.

    ## References
    - https://docs.pytorch.org/executorch/stable/kernel-library-custom-aten-kernel.html
    - https://docs.pytorch.org/executorch/stable/compiler-delegate-and-partitioner.html
    - https://cwe.mitre.org/data/definitions/829.html
    """
    used = Counter(
        plan.operators[step.what]
        for plan in program.plans
        for step in plan.steps
        if step.kind == "kernel" and 0 <= step.what < len(plan.operators)
    )
    for operator in {o for plan in program.plans for o in plan.operators}:
        used.setdefault(operator, 0)
    custom: list[tuple[str, str]] = []
    for operator, count in sorted(used.items()):
        namespace, _, name = operator.partition("::")
        does = torch_operators.effect(namespace, name)
        if does is not None:
            yield Finding(
                message=f"the program calls {operator[:100]}, which {does}",
                at=program.where,
                action=Action.BLOCK,
                symbol=operator[:200],
            )
        elif not torch_operators.known(namespace):
            custom.append((operator, f"{count:,}"))
    if custom:
        yield _said("kernels", custom, ("kernel", "times called"), program)
    unknown: list[tuple[str, str]] = []
    native: list[tuple[str, str]] = []
    for plan in program.plans:
        for delegate in plan.delegates:
            row = (delegate.id, f"{delegate.data.size:,}")
            device = torch_operators.delegate_processor(delegate.id)
            if torch_operators.delegate_is_native(delegate.id):
                native.append(row)
            elif device is not None:
                why = f"backend {delegate.id}: compiled for {device}; what it computes was not read"
                yield Gap(kind=GapKind.UNSUPPORTED, message=why, at=program.where)
            elif torch_operators.delegate_data(delegate.id) is None:
                unknown.append(row)
    if unknown:
        yield _said("backends", unknown, ("backend", "bytes given to it"), program)
    if native:
        names = ", ".join(sorted({name for name, _ in native}))
        table = Table("Backends", ("backend", "bytes given to it"), tuple(native[:SHOWN]))
        yield Finding(
            message=f"the program holds native code that its backend loads: {names[:200]}",
            at=program.where,
            action=Action.REVIEW,
            symbol=names[:200],
            evidence=(table,),
        )


def _said(
    what: str, rows: list[tuple[str, str]], columns: tuple[str, ...], program: Executorch
) -> Finding:
    names = list(dict.fromkeys(name[:60] or "(no name)" for name, _ in rows))
    more = f" and {len(names) - 6:,} more" if len(names) > 6 else ""
    return Finding(
        message=f"the program needs {what} from elsewhere: {', '.join(names[:6])}{more}",
        at=program.where,
        action=Action.REVIEW,
        symbol=", ".join(names)[:200],
        evidence=(Table(what.capitalize(), columns, tuple(rows[:SHOWN])),),
    )
