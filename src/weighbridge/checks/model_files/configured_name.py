"""Check `configured-name`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from weighbridge.analysis.configured_names import Named, named
from weighbridge.core.check import check
from weighbridge.core.evidence import Table, Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.text import Configuration
from weighbridge.intel.configured import Trust

BLOCKED: Final = frozenset({"execute", "import", "write", "connect", "mutate"})
EFFECTS: Final = {
    "execute": "runs commands or code",
    "import": "imports modules by name",
    "read": "reads files or secrets",
    "write": "writes files",
    "connect": "connects to the network",
    "mutate": "changes the running interpreter",
}
SHOWN: Final = 50


@check("configured-name", control="code-and-templates", reads=Configuration)
def configured_name(document: Configuration) -> Iterator[Finding]:
    """A configuration names code that loading it imports and calls.

    ## Why it matters
    Hydra, NeMo, SpeechBrain and latent diffusion build a model from a configuration: they import
    the dotted name under `_target_`, `target` or `!new:` and call it with the values beside it. A
    configuration that names `subprocess.Popen` starts a program. `yaml.load` with an unsafe loader
    does the same for `!!python/object/apply:`.

    ## What to do
    Do not load a model whose configuration names something that acts. For code that nobody has
    reviewed, find the package it comes from and read it, or take the names off the configuration.

    ## Limits
    Classes of well-known libraries pass by their package and form; what each does with its
    arguments is not known. Whether your loader instantiates the configuration is not known.

    ## References
    - https://hydra.cc/docs/advanced/instantiate_objects/overview/
    - https://nvd.nist.gov/vuln/detail/CVE-2025-23304
    - https://cwe.mitre.org/data/definitions/470.html
    """
    unreviewed: dict[str, Named] = {}
    told: set[str] = set()
    for found in named(document):
        if found.trust is Trust.UNREVIEWED:
            unreviewed.setdefault(found.name, found)
        elif found.trust is Trust.ACTING and found.name not in told:
            told.add(found.name)
            effect = EFFECTS.get(found.effect, found.effect)
            text = "\n".join((f"{found.key}: {found.name}", *found.beside))
            yield Finding(
                message=f"the configuration names {found.name[:120]} ({found.key}), which {effect}",
                at=msgspec.structs.replace(document.where, line=found.line),
                action=Action.BLOCK if found.effect in BLOCKED else Action.REVIEW,
                symbol=found.name[:200],
                evidence=(Text("What it says", text=text),),
            )
    if unreviewed:
        first = next(iter(unreviewed.values()))
        more = f" and {len(unreviewed) - 1:,} more names" if len(unreviewed) > 1 else ""
        rows = tuple((n.key, n.name[:200]) for n in list(unreviewed.values())[:SHOWN])
        yield Finding(
            message=f"the configuration names code that nobody has reviewed: {first.name[:120]}"
            + more,
            at=msgspec.structs.replace(document.where, line=first.line),
            action=Action.REVIEW,
            symbol="unreviewed names",
            evidence=(Table("What it imports and calls", columns=("key", "name"), rows=rows),),
        )
