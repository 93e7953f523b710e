"""Check `tflite-custom-operator`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.formats.tflite import Tflite
from weighbridge.intel import lite_operators

FLEX = "Flex"
SHOWN = 100


@check("tflite-custom-operator", control="payload-scan", reads=Tflite)
def tflite_custom_operator(model: Tflite) -> Iterator[Finding | Gap]:
    """The model needs operators that are not part of TensorFlow Lite.

    ## Why it matters
    A custom operator is code that comes from somewhere else: whoever runs the model must install
    it, often from the same author. A *Flex* operator is one of TensorFlow's own, and among those
    are some that read and write files or call Python.

    ## What to do
    Find out which library each operator comes from, and build that from source you trust. Do not
    run a model that writes files or calls Python. An operator compiled for an accelerator cannot
    be read: ask for the model that it was compiled from.

    ## Limits
    Only names are judged; the code of an operator is not in the file. Operators that come with
    TensorFlow Lite's own libraries and only compute are a note.

    ## References
    - https://ai.google.dev/edge/litert/models/ops_custom
    - https://ai.google.dev/edge/litert/models/ops_select
    - https://cwe.mitre.org/data/definitions/829.html
    """
    used = Counter(o.name for g in model.subgraphs for o in g.operators if o.custom)
    rows: dict[Action, list[tuple[str, str, str]]] = {action: [] for action in Action}
    for name, count in sorted(used.items()):
        times = f"{count:,}"
        device, library = lite_operators.processor(name), lite_operators.library(name)
        if device is not None:
            why = f"operator {name}: compiled for {device}; what it computes was not read"
            yield Gap(kind=GapKind.UNSUPPORTED, message=why, at=model.where)
        elif library is not None:
            rows[Action.NOTE].append((name, times, library))
        elif name.startswith(FLEX):
            does, blocked = lite_operators.flex(name.removeprefix(FLEX))
            action = Action.BLOCK if blocked else Action.REVIEW if does else Action.NOTE
            rows[action].append((name, times, f"TensorFlow: {does or 'computes'}"))
        else:
            rows[Action.REVIEW].append((name, times, "not known"))
    for action, found in rows.items():
        if found:
            names = ", ".join(name[:60] or "(no name)" for name, _, _ in found[:6])
            more = f" and {len(found) - 6:,} more" if len(found) > 6 else ""
            what = {
                Action.BLOCK: "the model writes files or calls Python",
                Action.REVIEW: "the model needs operators from elsewhere",
                Action.NOTE: "the model needs operators of a known library",
            }[action]
            yield Finding(
                message=f"{what}: {names}{more}",
                at=model.where,
                action=action,
                symbol=names,
                evidence=(Table("Operators", ("name", "times", "from"), tuple(found[:SHOWN])),),
            )
