"""Check `tensorflow-python`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.tensorflow_uses import grouped
from weighbridge.core.check import check
from weighbridge.core.finding import Finding
from weighbridge.formats.tensorflow import TensorFlow
from weighbridge.intel.tensorflow_operators import Reach


@check("tensorflow-python", control="payload-scan", reads=TensorFlow)
def tensorflow_python(model: TensorFlow) -> Iterator[Finding]:
    """A TensorFlow graph calls a Python function of the process that runs it.

    ## Why it matters
    `py_function` and `numpy_function` leave a node in the graph that calls back into Python. What
    it calls is not in the model: it is whatever the process has registered under the token of the
    node. No exported model needs it, and it fails wherever there is no Python.

    ## What to do
    Do not serve the model. Ask for an export in which the function is made of TensorFlow's own
    operators.

    ## Limits
    What the function would do cannot be seen. A function of the graph counts as run as a whole.

    ## References
    - https://www.tensorflow.org/api_docs/python/tf/py_function
    - https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md
    - https://cwe.mitre.org/data/definitions/829.html
    """
    for action, message, found, evidence in grouped(model, Reach.PYTHON):
        yield Finding(
            message=message,
            at=model.where,
            action=action,
            symbol=", ".join(sorted({use.node.op for use in found})),
            evidence=evidence,
        )
