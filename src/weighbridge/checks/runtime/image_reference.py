"""Check `image-reference`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from weighbridge.analysis.dependencies import lies_aside, weighed
from weighbridge.analysis.image_names import judged, parsed, parts
from weighbridge.core.check import Audit, check
from weighbridge.core.fact import ImageReferences
from weighbridge.core.finding import Finding, Gap, GapKind, Related
from weighbridge.core.location import Location

PLACES: Final = 50
"""How many further places of an image its finding lists."""


@check("image-reference", control="dependencies", reads=Audit)
def image_reference(audit: Audit) -> Iterator[Finding | Gap]:
    """What a deployment runs can change, or gets no security fixes any more.

    ## Why it matters
    A manifest that names an image by its tag runs whatever stands there when a node pulls it: two
    replicas may run two programs, and whoever takes over the account or the registry is run by
    your cluster. A system, CUDA or Python past its end of life keeps its holes.

    ## What to do
    Name the digest (`image:tag@sha256:…`), and have a bot move it. Move to what is kept up.

    ## Limits
    Manifests of Kubernetes (and what extends it), Compose files, values of Helm charts and the
    images that jobs of GitHub's CI run in. Templates are not rendered: an image that they put
    together is a gap. No registry is asked. An image that a Compose file builds itself is left to
    its Dockerfile.

    ## References
    - https://kubernetes.io/docs/concepts/containers/images/#image-names
    - https://cwe.mitre.org/data/definitions/494.html
    - https://cwe.mitre.org/data/definitions/1104.html
    """
    named: dict[str, list[tuple[bool, Location]]] = defaultdict(list)
    for fact in audit.facts:
        if not isinstance(fact, ImageReferences):
            continue
        aside = lies_aside(fact, audit)
        for why in fact.unread:
            yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=fact.at)
        for one in fact.images:
            if "${{" in one.image:
                why = f"which image {one.image[:120]} is was not given: it is told when it runs"
                at = msgspec.structs.replace(fact.at, line=one.line or None)
                yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=at)
                continue
            at = msgspec.structs.replace(fact.at, line=one.line or None)
            named[one.image].append((aside, at))
    today = datetime.now(UTC).date()
    for image, places in named.items():
        (aside, at), *others = sorted(places, key=lambda place: place[0])
        for message, action in judged(parsed(image), today):
            yield Finding(
                message=message,
                at=at,
                action=weighed(action, aside),
                symbol=image[:200],
                related=tuple(Related("also named here", other) for _, other in others[:PLACES]),
                evidence=(parts(parsed(image)),),
            )
