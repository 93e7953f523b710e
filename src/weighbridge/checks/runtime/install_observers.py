"""What notebooks, scripts and workflows tell the checks of what is installed."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.script_installs import of_notebook, of_script, of_workflow
from weighbridge.core.check import observe
from weighbridge.core.fact import ImageReferences, Installs
from weighbridge.formats.notebook import Notebook
from weighbridge.formats.text import Written
from weighbridge.formats.workflow import Workflow


@observe("notebook-installs", control="dependencies", reads=Notebook)
def notebook_installs(notebook: Notebook) -> Iterator[Installs]:
    """The magics and shell lines of a notebook."""
    return of_notebook(notebook)


@observe("script-installs", control="dependencies", reads=Written, tells_gaps=True)
def script_installs(document: Written) -> Iterator[Installs]:
    """A shell script, or the configuration of a system of CI."""
    return of_script(document)


@observe("workflow-installs", control="dependencies", reads=Workflow)
def workflow_installs(workflow: Workflow) -> Iterator[Installs | ImageReferences]:
    """The steps of a workflow of GitHub's."""
    return of_workflow(workflow)
