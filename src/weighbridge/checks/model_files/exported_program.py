"""Check `exported-program`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from weighbridge.analysis.exported_program import Judged, formula, guard, imported, target
from weighbridge.core.check import check
from weighbridge.core.evidence import Table, Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.exported_program import ExportedProgram
from weighbridge.intel import torch_operators
from weighbridge.intel.names import Standing, classify

SHOWN = 50
CLASSES = "__torch__.torch.classes."


@check("exported-program", control="payload-scan", reads=ExportedProgram)
def exported_program(program: ExportedProgram) -> Iterator[Finding]:
    """An exported program calls what is no operator of torch, or its texts do more than count.

    ## Why it matters
    `torch.export.load` looks every target up by its name, from `torch` on: it can be any function,
    also of a module that torch has imported. Shapes are evaluated as Python while the file loads,
    guards when the module is made, and descriptions of arguments import modules. An operator of
    another library is native code, or Python, that somebody must install first.

    ## What to do
    Do not load a program that reaches a function that acts. For custom operators and classes, ask
    which library registers them and whether you need it.

    ## Limits
    Graphs that higher-order operators call are looked into. What a custom operator computes cannot
    be seen, and what the graph computes is another control's question.

    ## References
    - https://docs.pytorch.org/docs/stable/export.html
    - https://docs.sympy.org/latest/modules/core.html#sympy.core.sympify.sympify
    - https://cwe.mitre.org/data/definitions/95.html
    """
    counts = Counter(node.target for node in program.nodes())
    for node in program.nodes():
        for _, argument in node.inputs:
            if argument.kind == "operator" and isinstance(argument.value, str):
                counts[argument.value] += 1
    judged = {name: said for name in sorted(counts) if (said := target(name)) is not None}
    for name, said in judged.items():
        yield Finding(
            message=f"the program calls {name[:120]}, which {said.why}",
            at=program.where,
            action=said.action,
            symbol=name[:200],
            evidence=(_nodes(program, name),),
        )
    for text in program.expressions:
        yield from _text(program, "a shape's formula", text, formula(text))
    for text in program.guards:
        yield from _text(program, "a guard", text, guard(text))
    for module, name in sorted({i for tree in program.trees for i in imported(tree)}):
        known = classify(module, name)
        if known.standing is not Standing.NEEDED and (module, name) not in FACTORIES:
            acting = known.standing is Standing.ACTING
            yield Finding(
                message=f"loading the program imports {module[:80]}.{name[:80]}",
                at=program.where,
                action=Action.BLOCK if acting else Action.REVIEW,
                symbol=f"{module}.{name}"[:200],
            )
    for name in sorted(_classes(program)):
        namespace = name.removeprefix(CLASSES).partition(".")[0]
        if not name.startswith(CLASSES) or not torch_operators.known_class(namespace):
            yield Finding(
                message=f"the program uses objects of the class {name[:120]}",
                at=program.where,
                action=Action.REVIEW,
                symbol=name[:200],
            )


FACTORIES = frozenset(
    ("builtins", n) for n in ("int", "float", "bool", "str", "list", "dict", "set", "tuple")
)


def _classes(program: ExportedProgram) -> set[str]:
    """The classes of native and opaque objects that the graphs use."""
    found = {c for graph in program.graphs() for c in graph.objects.values()}
    arguments = [a for node in program.nodes() for _, a in node.inputs]
    arguments += [spec.argument for spec in program.inputs]
    for argument in arguments:
        if argument.kind == "custom_obj" and isinstance(argument.value, dict):
            found.add(str(argument.value.get("class_fqn", "")))
    return found - {""}


def _nodes(program: ExportedProgram, name: str) -> Table:
    rows = []
    for node in program.nodes():
        if node.target == name or any(a.value == name for _, a in node.inputs):
            given = ", ".join(f"{n}={_shown(a.names, a.value)}" for n, a in node.inputs[:6])
            made = ", ".join(n for o in node.outputs for n in o.names)
            rows.append((made[:80], given[:200], node.metadata.get("stack_trace", "")[-200:]))
        if len(rows) == SHOWN:
            break
    return Table("Nodes", ("gives", "is given", "from the source"), tuple(rows))


def _shown(names: tuple[str, ...], value: object) -> str:
    return " ".join(names) if names else repr(value)[:60]


def _text(program: ExportedProgram, what: str, text: str, said: Judged | None) -> Iterator[Finding]:
    if said is not None:
        yield Finding(
            message=f"{what} {said.why}",
            at=program.where,
            action=said.action,
            symbol=text[:200],
            evidence=(Text("What it says", text=text[:2_000], language="python"),),
        )
