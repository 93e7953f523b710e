"""Check `xml-entity`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.formats.xml import Entity, Xml

BOMB: Final = 1 << 20
"""In characters: what an entity may come to."""


@check("xml-entity", control="payload-scan", reads=Xml)
def xml_entity(document: Xml) -> Iterator[Finding]:
    """An XML file declares entities that read files, fetch addresses or grow without end.

    ## Why it matters
    Many XML parsers replace an external entity by the file or address that it names, with the
    rights of whoever loads the model: secrets are read, other machines are asked. An entity made
    of entities can fill all memory. Neither PMML nor OpenVINO needs any.

    ## What to do
    Do not load the file. Ask the publisher for one without a document type, and configure your
    parser to refuse external entities.

    ## Limits
    Whether your parser follows entities is not known. A document type that is to be fetched is
    noted only.

    ## References
    - https://owasp.org/www-community/vulnerabilities/XML_External_Entity_(XXE)_Processing
    - https://cwe.mitre.org/data/definitions/611.html
    - https://cwe.mitre.org/data/definitions/776.html
    """
    largest = max((e.expands for e in document.entities), default=0)
    for entity in document.entities:
        if entity.address:
            message = f"the entity {entity.name!r} stands for what {entity.address[:120]!r} names"
        elif BOMB < entity.expands == largest:
            message = f"the entity {entity.name!r} grows to {entity.expands:,} characters"
        else:
            continue
        yield Finding(
            message=message,
            at=msgspec.structs.replace(document.where, line=entity.line),
            action=Action.BLOCK,
            symbol=entity.name,
            confidence=Confidence.LIKELY,
            evidence=(Text("The declaration", text=_declaration(entity), language="xml"),),
        )


def _declaration(entity: Entity) -> str:
    sign = "% " if entity.parameter else ""
    what = f'SYSTEM "{entity.address}"' if entity.address else f'"{entity.value}"'
    return f"<!ENTITY {sign}{entity.name} {what}>"
