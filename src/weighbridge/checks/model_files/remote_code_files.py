"""Check `remote-code-files`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from weighbridge.analysis.references import resolve
from weighbridge.core.check import Audit, Domain, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.tree import Reference

SHOWN: Final = 1_000
CONVENTIONS: Final = {
    "custom_generate/generate.py": "generate(custom_generate=…) of transformers imports it",
    "handler.py": "Inference Endpoints of Hugging Face import it",
    "code/inference.py": "SageMaker imports it",
    "pipeline.py": "custom_pipeline=… of diffusers imports it",
}
"""Files that a loader or server finds by their path alone."""
UNNAMED: Final = "nothing here names it"


@check("remote-code-files", control="code-and-templates", reads=Audit)
def remote_code_files(audit: Audit) -> Iterator[Finding | Gap]:
    """Which Python files come with the model, and which of them a loader would import.

    ## Why it matters
    What a configuration names, and what those files import in turn, runs with whoever loads the
    model under `trust_remote_code=True`. Files that nothing names run only if somebody starts them;
    a few are imported by the servers that look for their name.

    ## What to do
    Read the files that would be imported, or have them reviewed by their digest. Deploy without the
    others.

    ## Limits
    Relative imports are followed; imports of installed packages, and code that opens a file by
    itself, are not. A module of the same name that is installed can take a file's place.

    ## References
    - https://huggingface.co/docs/transformers/custom_models
    - https://huggingface.co/docs/transformers/generation_strategies
    - https://huggingface.co/docs/inference-endpoints/guides/custom_handler
    - https://cwe.mitre.org/data/definitions/829.html
    """

    def of_model(path: str) -> bool:
        return audit.domain(path) is Domain.MODEL

    sizes = {
        Location(a.where.path, a.where.inside): a.size
        for a in audit.artifacts
        if "python" in a.formats and _name(a.where).endswith(".py") and of_model(a.where.path)
    }
    follows: dict[Location, list[Reference]] = defaultdict(list)
    for reference in audit.references:
        if reference.kind != "tensors" and of_model(reference.at.path):
            follows[Location(reference.at.path, reference.at.inside)].append(reference)
    named: dict[Location, str] = {}
    missing: dict[Location, list[str]] = defaultdict(list)
    waiting = [r for at, found in follows.items() if at not in sizes for r in found]
    convention = [w for w in sizes if _name(w) in CONVENTIONS]
    for where in convention:
        named[where] = CONVENTIONS[_name(where)]
        waiting += follows[where]
    unsaid = len(convention)
    while waiting:
        reference = waiting.pop()
        meant = _file(reference, sizes)
        if meant is None:
            if reference.kind == "code":
                missing[reference.at].append(reference.path)
        elif meant not in named:
            named[meant] = f"{_shown(reference.at)}: {reference.what}"
            unsaid += reference.kind == "candidate" and reference.at not in sizes
            waiting += follows[meant]
    for at, paths in missing.items():
        listed = ", ".join(repr(p[:80]) for p in sorted(set(paths))[:3])
        more = f" and {len(set(paths)) - 3:,} more" if len(set(paths)) > 3 else ""
        why = f"Python files that would be imported are not here: {listed}{more}"
        yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=at)
    if not sizes:
        return
    order = sorted(sizes, key=lambda w: (w not in named, w.path, w.inside))
    rows = tuple((_shown(w), f"{sizes[w]:,}", named.get(w, UNNAMED)[:200]) for w in order[:SHOWN])
    count = f"{len(sizes):,} Python file" + ("s come" if len(sizes) > 1 else " comes")
    imported = f"{len(named):,} would be imported" if named else "nothing here has them imported"
    rest = f" (the first {SHOWN:,} are listed)" if len(sizes) > SHOWN else ""
    yield Finding(
        message=f"{count} with the model; {imported}{rest}",
        at=order[0],
        action=Action.REVIEW if unsaid else Action.NOTE,
        symbol="python files",
        evidence=(Table("The Python files", ("file", "bytes", "imported because"), rows),),
    )


def _file(reference: Reference, sizes: Mapping[Location, int]) -> Location | None:
    """The file that is meant: beside what names it, or at the top, where loaders look as well."""
    module = reference.path.removesuffix(".py")
    for path in (reference.path, f"{module}/__init__.py"):
        beside = resolve(Reference(at=reference.at, path=path))
        inside = reference.at.inside
        top = Location(reference.at.path, (*inside[:-1], path)) if inside else Location(path)
        for place in (beside, top):
            if place is not None and place in sizes:
                return place
    return None


def _name(where: Location) -> str:
    return where.inside[-1] if where.inside else where.path


def _shown(where: Location) -> str:
    return " › ".join((where.path, *where.inside))
