"""Check `tensorflow-asset`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.references import climbs
from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.core.tree import Reference
from weighbridge.formats.tensorflow import TensorFlow

SHOWN = 50


@check("tensorflow-asset", control="payload-scan", reads=TensorFlow)
def tensorflow_asset(model: TensorFlow) -> Iterator[Finding]:
    """A SavedModel's asset lies outside the folder of its assets.

    ## Why it matters
    An asset is a file beside the model, such as a vocabulary. The loader joins its name to the
    folder of the model, without a look at what the name is: `../../../etc/passwd` is read like any
    vocabulary, and leaves with the model's answers.

    ## What to do
    Do not load the model.

    ## Limits
    Whether the assets that are named are there is not asked.

    ## References
    - https://www.tensorflow.org/guide/saved_model
    - https://cwe.mitre.org/data/definitions/22.html
    """
    outside = [
        (asset.filename, asset.tensor)
        for graph in model.graphs
        for asset in graph.assets
        if climbs(Reference(at=model.where, path=asset.filename))
    ]
    if outside:
        more = f" and {len(outside) - 1:,} more" if len(outside) > 1 else ""
        rows = tuple((path[:300], tensor[:100]) for path, tensor in outside[:SHOWN])
        yield Finding(
            message=f"loading takes the asset {outside[0][0][:200]!r}, outside its folder{more}",
            at=model.where,
            action=Action.BLOCK,
            symbol=outside[0][0][:200],
            evidence=(Table("Assets", ("file", "given to"), rows),),
        )
