"""Check `graph-operator`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from weighbridge.analysis.graph_operators import Operator, operators
from weighbridge.core.check import check
from weighbridge.core.document import Document
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.intel.graph_operators import Standing

SHOWN = 50
KEPT = 10_000
ACTIONS = {
    Standing.WRITES: Action.BLOCK,
    Standing.ACTS: Action.REVIEW,
    Standing.UNKNOWN: Action.REVIEW,
}


@check("graph-operator", control="payload-scan", reads=Document)
def graph_operator(document: Document) -> Iterator[Finding | Gap]:
    """The graph has operators that act beside computing, or that come from elsewhere.

    ## Why it matters
    A graph is data, but some operators are not: PaddlePaddle's `save` writes the file that its
    attribute names, Caffe's `Python` layer imports a module, MXNet's `_Native` calls the address
    that stands in the file. An operator that the framework does not have is native or Python code
    from somewhere else, often the author's.

    ## What to do
    Do not run a graph that writes files or imports Python that acts. Find out where an unknown
    operator comes from, read it, and build it yourself.

    ## Limits
    PaddlePaddle, MXNet, Caffe, ncnn, Core ML programs and ONNX Runtime's format. Only names and
    attributes are judged; lists of known operators are those of one version of each framework.

    ## References
    - https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/static/py_func_en.html
    - https://caffe.berkeleyvision.org/tutorial/layers/python.html
    - https://cwe.mitre.org/data/definitions/829.html
    """
    rows: dict[tuple[Standing, str], list[Operator]] = defaultdict(list)
    for operator in operators(document):
        found = rows[operator.judged.standing, operator.judged.does]
        if operator.judged.standing is not Standing.COMPUTES and len(found) < KEPT:
            found.append(operator)
    for (standing, does), found in rows.items():
        if not found:
            continue
        names = sorted({o.name.removeprefix("::") for o in found})
        listed = ", ".join(n[:80] for n in names[:6])
        more = f" and {len(names) - 6:,} more" if len(names) > 6 else ""
        if standing is Standing.COMPILED:
            why = f"operator {listed}: compiled for {does}; what it computes was not read"
            yield Gap(kind=GapKind.UNSUPPORTED, message=why, at=document.where)
            continue
        what = f"an operator that {does}" if does else "operators that are not known"
        yield Finding(
            message=f"the graph needs {what}: {listed}{more}",
            at=document.where,
            action=ACTIONS[standing],
            symbol=f"{does or 'unknown'}: {listed}"[:200],
            evidence=(_table(found),),
        )


def _table(found: list[Operator]) -> Table:
    rows = tuple(
        (
            o.node[:80],
            o.name.removeprefix("::")[:80],
            ", ".join(f"{k[:40]}={v[:80]}" for k, v in o.attributes)[:400],
        )
        for o in found[:SHOWN]
    )
    return Table("Operators", ("where", "operator", "attributes"), rows)
