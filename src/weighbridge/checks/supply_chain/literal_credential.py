"""Check `literal-credential`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.practices import practices, told
from weighbridge.analysis.training_kinds import Kind
from weighbridge.analysis.training_ways import Judged
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Finding


@check("literal-credential", control="training-code", reads=Audit)
def literal_credential(audit: Audit) -> Iterator[Finding]:
    """A credential stands in the code that trains.

    ## Why it matters
    Whoever can read the repository, or a copy of it, can use the credential: push a model under the
    publisher's name, read runs and data, spend somebody's money. Notebooks carry them often, and
    history keeps what was deleted.

    ## What to do
    Have it revoked; deleting the line is not enough. Read it from the environment or from a store
    of secrets.

    ## Limits
    Looked for where nothing but a credential can stand: arguments like `token=` and `api_key=`, the
    key of a login, variables of the environment and attributes named so. What reads like a stand-in
    ("your_key", "xxx") is none. Whether it still works is never tried.

    ## References
    - https://cwe.mitre.org/data/definitions/798.html
    - https://docs.wandb.ai/guides/track/environment-variables/
    """
    judged = [
        Judged(
            p, Action.REVIEW, "a credential is written into the code",
            f"{p.symbol} is given {p.detail}", "whoever can read the repository",
            f"{p.symbol} is given {p.detail}",
        )
        for p in practices(audit, Kind.CREDENTIAL)
    ]  # fmt: skip
    yield from told(audit, judged, "a credential is written into tests or examples")
