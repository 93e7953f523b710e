"""Check `tensorflow-custom-operator`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.tensorflow import TensorFlow
from weighbridge.intel import tensorflow_operators

SHOWN = 100


@check("tensorflow-custom-operator", control="payload-scan", reads=TensorFlow)
def tensorflow_custom_operator(model: TensorFlow) -> Iterator[Finding]:
    """A TensorFlow graph needs operators that are not part of TensorFlow.

    ## Why it matters
    A custom operator is native code from somewhere else: whoever runs the model must load a
    library for it first, often the author's.

    ## What to do
    Find out which library each operator comes from, and build that from source you trust.

    ## Limits
    Only names are judged; the code of an operator is not in the file. Operators of well-known
    libraries are a note; what those do that reaches further is another check's question.

    ## References
    - https://www.tensorflow.org/guide/create_op
    - https://www.tensorflow.org/api_docs/python/tf/load_op_library
    - https://cwe.mitre.org/data/definitions/829.html
    """
    used: dict[Action, Counter[tuple[str, str]]] = defaultdict(Counter)
    for graph in model.graphs:
        for _, nodes in graph.bodies():
            for node in nodes:
                op = node.op
                if op in graph.functions or tensorflow_operators.known(op):
                    continue
                library = tensorflow_operators.library(op)
                if library is not None:
                    used[Action.NOTE][op, library] += 1
                elif not tensorflow_operators.effect(op) and not tensorflow_operators.compiled(op):
                    used[Action.REVIEW][op, "not known"] += 1
    for action, found in sorted(used.items()):
        names = sorted(name for name, _ in found)
        listed = ", ".join(name[:60] or "(no name)" for name in names[:6])
        more = f" and {len(names) - 6:,} more" if len(names) > 6 else ""
        what = "from elsewhere" if action is Action.REVIEW else "of a known library"
        rows = tuple((n[:100], f"{c:,}", lib) for (n, lib), c in sorted(found.items())[:SHOWN])
        yield Finding(
            message=f"the graph needs operators {what}: {listed}{more}",
            at=model.where,
            action=action,
            symbol=listed,
            evidence=(Table("Operators", ("name", "times", "from"), rows),),
        )
