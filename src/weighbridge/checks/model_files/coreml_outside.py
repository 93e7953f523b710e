"""Check `coreml-outside`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from weighbridge.checks.model_files.archive_escape import leaves
from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.coreml import CoreMl, Custom

SHOWN = 50


@check("coreml-outside", control="payload-scan", reads=CoreMl)
def coreml_outside(model: CoreMl) -> Iterator[Finding]:
    """A Core ML model needs code or another model that is not in it.

    ## Why it matters
    A custom layer or custom model is a class of the app, by name: whoever runs the model must build
    native code for it, usually the author's, into the app. A linked model is a compiled one that is
    looked for elsewhere when this one is loaded; what it does is not in this file.

    ## What to do
    Find the source of each class, read it, and build it yourself. Ask for the linked model and have
    it audited as well.

    ## Limits
    What the classes do is not in the file.

    ## References
    - https://developer.apple.com/documentation/coreml/mlcustomlayer
    - https://apple.github.io/coremltools/mlmodel/Format/LinkedModel.html
    - https://cwe.mitre.org/data/definitions/829.html
    """
    classes: dict[str, list[Custom]] = defaultdict(list)
    for custom in model.custom:
        classes[custom.class_name].append(custom)
    for name, used in classes.items():
        rows = tuple(
            (c.where[:120], ", ".join(f"{k}={v}" for k, v in c.parameters)[:300])
            for c in used[:SHOWN]
        )
        yield Finding(
            message=f"the model needs the app's own class {name[:120]!r}",
            at=model.where,
            action=Action.REVIEW,
            symbol=name[:200],
            evidence=(Table("Where it is used", ("layer", "parameters"), rows),),
        )
    for file, path in model.linked:
        outside = leaves(file) or leaves(path)
        yield Finding(
            message=f"the model loads another one, {file[:120]!r} from {path[:120]!r}"
            + (", outside its folder" if outside else ""),
            at=model.where,
            action=Action.BLOCK if outside else Action.REVIEW,
            symbol=f"linked {file[:120]}",
            evidence=(
                Table("The linked model", ("file", "search path"), ((file[:300], path[:300]),)),
            ),
        )
