"""What each file of source code, and each notebook, tells the checks of training code."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.practices import of_notebook, of_source
from weighbridge.core.check import Domain, observe
from weighbridge.core.fact import Egress, Practice
from weighbridge.formats.notebook import Notebook
from weighbridge.formats.python_source import PythonSource


@observe("training-source", control="training-code", reads=PythonSource, domain=Domain.SOURCE)
def training_source(source: PythonSource) -> Iterator[Practice | Egress]:
    """A file of Python of the repository that built the model."""
    return of_source(source)


@observe("training-notebook", control="training-code", reads=Notebook)
def training_notebook(notebook: Notebook) -> Iterator[Practice | Egress]:
    """A notebook, wherever it stands: no loader runs it."""
    return of_notebook(notebook)
