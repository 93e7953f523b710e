"""Check `tensorflow-checkpoint-path`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.references import climbs
from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.core.tree import Reference
from weighbridge.formats.tensorflow_checkpoint import CheckpointState

SHOWN = 50


@check("tensorflow-checkpoint-path", control="payload-scan", reads=CheckpointState)
def tensorflow_checkpoint_path(state: CheckpointState) -> Iterator[Finding]:
    """The file `checkpoint` names checkpoints outside its folder.

    ## Why it matters
    `tf.train.latest_checkpoint` loads what this file names. A path outside the folder loads
    something that was not handed over and not audited.

    ## What to do
    Load the checkpoint by its own name. A path of the author's machine is common and means only
    that the folder was moved.

    ## Limits
    Nothing is said of whether the file that is named is there.

    ## References
    - https://www.tensorflow.org/api_docs/python/tf/train/latest_checkpoint
    """
    outside = [p for p in state.paths if climbs(Reference(at=state.where, path=p))]
    if outside:
        yield Finding(
            message=f"it names a checkpoint outside its folder: {outside[0][:200]!r}",
            at=state.where,
            action=Action.NOTE,
            symbol=outside[0][:200],
            evidence=(Table("Paths", ("path",), tuple((p[:300],) for p in outside[:SHOWN])),),
        )
