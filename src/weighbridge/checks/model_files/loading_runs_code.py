"""Check `loading-runs-code`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Finding, Related
from weighbridge.core.format import Loading

SHOWN = 20


@check("loading-runs-code", control="file-format", reads=Audit)
def loading_runs_code(audit: Audit) -> Iterator[Finding]:
    """Weights come in a format whose loader runs what the file says.

    ## Why it matters
    A pickle is a program. Even one that is clean today is replaced as easily as any other file,
    and a loader that accepts pickles accepts the next one too. Formats such as safetensors hold
    numbers and nothing else.

    ## What to do
    Load the safetensors beside it, if there is one, and delete the pickle from what you deploy.
    Otherwise convert once, in an isolated place, and deploy the result. Until then load with
    `torch.load(..., weights_only=True)` on torch 2.6 or later. A TensorFlow graph is a program of
    operators: its steps are judged one by one, and it is still best served where it reaches
    nothing.

    ## Limits
    Which loader you will use is not known from the files alone.

    ## References
    - https://huggingface.co/docs/safetensors
    - https://cwe.mitre.org/data/definitions/502.html
    """
    code = [a for a in audit.artifacts if Loading.CODE in a.loadings and not _is_text(a.formats)]
    if not code:
        return
    paths = list(dict.fromkeys(a.where.path for a in code))
    formats = sorted({f for a in code for f in a.formats})
    beside = any("safetensors" in a.formats for a in audit.artifacts)
    more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
    yield Finding(
        message=f"{paths[0]}{more} can run code by design when loaded ({', '.join(formats)})"
        + ("; safetensors are beside it" if beside else ""),
        at=code[0].where,
        action=Action.REVIEW,
        symbol=", ".join(formats),
        related=tuple(Related("also", a.where) for a in code[1:SHOWN]),
    )


def _is_text(formats: tuple[str, ...]) -> bool:
    return all(f in ("python", "script", "text", "dockerfile") for f in formats)
