"""Check `tree-structure`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.decision_trees import Flaw, flaws
from weighbridge.core.check import check
from weighbridge.core.document import Document
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding

SHOWN = 20
COUNTED = 10_000


@check("tree-structure", control="payload-scan", reads=Document)
def tree_structure(model: Document) -> Iterator[Finding]:
    """A decision tree's numbers lead out of its arrays, or in a circle.

    ## Why it matters
    XGBoost, LightGBM and CatBoost are written in C++ and follow the children of a tree without
    asking whether they exist: a number too large reads memory that is not the model's, and a node
    that leads back to itself never answers. No training writes such a tree.

    ## What to do
    Do not load it. Train the model again, or ask for a file that was not edited.

    ## Limits
    Numbers of children, features and leaves are checked; the values of leaves and thresholds are
    not, nor lists of categories.

    ## References
    - https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html
    - https://cwe.mitre.org/data/definitions/125.html
    - https://cwe.mitre.org/data/definitions/835.html
    """
    broken: dict[str, list[Flaw]] = {}
    for count, flaw in enumerate(flaws(model)):
        broken.setdefault(flaw.kind, []).append(flaw)
        if count > COUNTED:
            break
    for kind, found in broken.items():
        more = f", and {len(found) - 1:,} more trees" if len(found) > 1 else ""
        rows = tuple((f"{f.tree:,}", f.message) for f in found[:SHOWN])
        yield Finding(
            message=f"tree {found[0].tree:,}: {found[0].message}{more}",
            at=model.where,
            action=Action.REVIEW,
            symbol=kind,
            evidence=(Table("What is broken", ("tree", "what"), rows),),
        )
