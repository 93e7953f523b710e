"""Check `tensorflow-file`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.tensorflow_uses import grouped
from weighbridge.core.check import check
from weighbridge.core.finding import Finding
from weighbridge.formats.tensorflow import TensorFlow
from weighbridge.intel.tensorflow_operators import Reach


@check("tensorflow-file", control="payload-scan", reads=TensorFlow)
def tensorflow_file(model: TensorFlow) -> Iterator[Finding]:
    """A TensorFlow graph reads, writes or lists files of the machine that runs it.

    ## Why it matters
    A graph is a program. `WriteFile` in it writes any file that the server may write, such as a
    start-up script; `ReadFile` brings a key or a password file into the model's answer; a print
    can go to a file. A path that begins with the name of a scheme (`s3://`) reaches another
    machine.

    ## What to do
    Do not serve a model that writes files or reads ones outside its folder. Ask for an export that
    takes bytes, not paths.

    ## Limits
    The steps with which TensorFlow itself saves and restores variables are fine as long as the
    caller names the files, and tables that are filled from the model's assets are, too. Paths that
    are made of constants are worked out; of others the parts are shown.

    ## References
    - https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md
    - https://www.tensorflow.org/api_docs/python/tf/io/write_file
    - https://cwe.mitre.org/data/definitions/73.html
    """
    reaches = (Reach.WRITES, Reach.READS, Reach.TABLE, Reach.SAVES, Reach.RESTORES)
    for action, message, found, evidence in grouped(model, *reaches):
        ops = ", ".join(sorted({use.node.op for use in found}))
        yield Finding(
            message=message,
            at=model.where,
            action=action,
            symbol=f"{ops} {', '.join(found[0].paths[:3])}".strip()[:200],
            evidence=evidence,
        )
