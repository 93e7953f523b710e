"""Check `mlflow-model`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from weighbridge.checks.model_files.archive_escape import leaves
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.yaml import Yaml
from weighbridge.intel.configured import Trust, judge


@check("mlflow-model", control="code-and-templates", reads=Yaml)
def mlflow_model(document: Yaml) -> Iterator[Finding]:
    """An MLflow model names a loader, or brings code, that loading it runs.

    ## Why it matters
    `mlflow.pyfunc.load_model` puts the folder under `code` on Python's path, imports the module
    under `loader_module` and calls it; with `model_code_path` it runs that script. MLflow's own
    loaders read what the model's flavour is.

    ## What to do
    Read the code before you load the model, or load the flavour's own file instead. Do not load a
    model whose loader is part of Python or whose paths leave its folder.

    ## Limits
    The environment that the model asks for (`conda.yaml`, `requirements.txt`) is not resolved.

    ## References
    - https://mlflow.org/docs/latest/ml/model/#storage-format
    - https://cwe.mitre.org/data/definitions/829.html
    """
    for model in [*document.documents, *document.overwritten]:
        flavors = model.get("flavors") if isinstance(model, dict) else None
        if not isinstance(flavors, dict):
            continue
        for flavor, settings in flavors.items():
            if isinstance(settings, dict):
                for key, what, action in _acts(settings):
                    line = document.lines.get(id(settings))
                    yield Finding(
                        message=f"loading this MLflow model ({str(flavor)[:60]}) {what}",
                        at=msgspec.structs.replace(document.where, line=line),
                        action=action,
                        symbol=f"{str(flavor)[:60]}.{key}",
                        evidence=(Text("The setting", text=f"{key}: {settings[key]}"[:2_000]),),
                    )


def _acts(settings: dict[Any, Any]) -> Iterator[tuple[str, str, Action]]:
    loader = settings.get("loader_module")
    if isinstance(loader, str) and not loader.startswith("mlflow."):
        trust, _ = judge(f"{loader}._load_pyfunc")
        acts = trust is Trust.ACTING
        what = f"imports {loader[:120]}, which is no loader of MLflow's"
        yield "loader_module", what, Action.BLOCK if acts else Action.REVIEW
    script = settings.get("model_code_path")
    if isinstance(script, str) and script not in ("", "null", "~"):
        yield "model_code_path", f"runs the script {script[:120]!r}", Action.REVIEW
    for key in ("code", "data", "python_model", "model_path", "pickled_model", "model_code_path"):
        path = settings.get(key)
        if isinstance(path, str) and leaves(path) and key != "model_code_path":
            yield key, f"reads {path[:120]!r}, outside its folder", Action.BLOCK
