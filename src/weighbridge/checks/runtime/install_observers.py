"""What notebooks, scripts, workflows and layers tell the checks of what is installed."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.layer_packages import layer_packages
from weighbridge.analysis.script_installs import of_notebook, of_script, of_workflow
from weighbridge.core.check import observe
from weighbridge.core.fact import ImageReferences, Installs, LayerPackages
from weighbridge.formats.notebook import Notebook
from weighbridge.formats.tar import Tar
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


@observe("layer-installs", control="dependencies", reads=Tar)
def layer_installs(archive: Tar) -> Iterator[LayerPackages]:
    """The packages in a layer of an image."""
    return layer_packages(archive)
