"""Check `startup-entry-point`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.installed import EntryPoints

SHOWN: Final = 50
_LOADED: Final = {
    "torch.backends": "whenever torch is imported",
    "vllm.general_plugins": "whenever vLLM starts, in each of its processes",
    "vllm.platform_plugins": "whenever vLLM starts, in each of its processes",
    "sglang.plugins": "whenever SGLang starts",
    "jax_plugins": "when JAX looks for devices",
    "fsspec.specs": "when fsspec meets an address of that kind",
    "opentelemetry_distro": "when OpenTelemetry instruments a program",
    "opentelemetry_instrumentor": "when OpenTelemetry instruments a program",
    "mlflow.plugins": "when MLflow starts",
    "mlflow.tracking_store": "when MLflow starts",
    "mlflow.request_header_provider": "when MLflow sends a request",
    "setuptools.finalize_distribution_options": "whenever setuptools builds anything",
    "keyring.backends": "when a program asks keyring for a secret",
    "jupyter_client.kernel_provisioners": "when Jupyter starts a kernel",
}


@check("startup-entry-point", control="dependencies", reads=EntryPoints)
def startup_entry_point(document: EntryPoints) -> Iterator[Finding]:
    """A package has another program load it without being asked.

    ## Why it matters
    Torch, vLLM, MLflow and others load every installed package that registers for it, at their
    start. A package that nobody imports acts that way, in the process that serves the model.

    ## What to do
    Check that you want the extension. If you do not know why it is installed, ask what requires
    the package.

    ## Limits
    Only the groups that are known to be loaded at a start count. What is loaded is not read here.

    ## References
    - https://packaging.python.org/en/latest/specifications/entry-points/
    - https://docs.vllm.ai/en/latest/design/plugin_system.html
    - https://docs.pytorch.org/docs/stable/notes/extending.html
    """
    rows = [(g, n, t, _LOADED[g]) for g, n, t in document.entries if g in _LOADED]
    if rows:
        group, _, target, when = rows[0]
        more = f", and {len(rows) - 1:,} more" if len(rows) > 1 else ""
        yield Finding(
            message=f"{target[:120]} is loaded {when} ({group}){more}",
            at=document.where,
            action=Action.NOTE,
            symbol=f"{group} {target[:120]}",
            evidence=(
                Table("Loaded by themselves", ("group", "name", "object", "when"),
                      tuple(rows[:SHOWN])),
            ),
        )  # fmt: skip
