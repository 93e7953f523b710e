"""Check `xml-model-code`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.core.regex import regex
from weighbridge.formats.xml import Element, Xml

_OPSET: Final = regex(r"opset\d{1,2}")
_INTERNAL: Final = frozenset({"experimental", "ie_internal_opset", "type_relaxed_opset", ""})
_CLASS: Final = regex(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_PACKAGES: Final = ("com.ibm.", "org.dmg.", "x-")


@check("xml-model-code", control="payload-scan", reads=Xml)
def xml_model_code(document: Xml) -> Iterator[Finding]:
    """A model in XML needs code that is not in it: an extension library, a class, a kernel.

    ## Why it matters
    An OpenVINO graph with a layer from outside its operator sets loads only together with a native
    library that somebody hands over. A layer configuration of OpenVINO's names the source of a
    kernel to compile. PMML evaluators in Java look a function with a dotted name up as a class.

    ## What to do
    Ask which library or class is meant and build it from its source. Ask for a graph of standard
    operators otherwise.

    ## Limits
    What the library does is not in the file. Layers of OpenVINO's own operator sets are not
    compared with the version you use.

    ## References
    - https://docs.openvino.ai/2025/documentation/openvino-extensibility.html
    - https://dmg.org/pmml/v4-4-1/Functions.html
    """
    told: set[str] = set()
    for element in document.elements:
        message = _needs(document.root, element)
        if message and message not in told:
            told.add(message)
            text = "\n".join(f"{k}={v}" for k, v in element.attributes.items())
            yield Finding(
                message=message,
                at=msgspec.structs.replace(document.where, line=element.line),
                action=Action.REVIEW,
                symbol=message,
                evidence=(Text(f"The element <{element.name}>", text=text),),
            )


def _needs(root: str, element: Element) -> str:
    values = element.attributes
    if root == "net" and element.name == "layer":
        version, kind = values.get("version", ""), values.get("type", "")
        if not _OPSET.fullmatch(version) and version not in _INTERNAL:
            return f"a layer of type {kind[:80]!r} needs the extension {version[:80]!r}"
    if root == "CustomLayer" and element.name in ("Source", "Binary"):
        return f"a layer is compiled from {values.get('filename', '')[:120]!r}"
    if root == "PMML" and element.name == "Apply":
        function = values.get("function", "")
        if _CLASS.fullmatch(function) and not function.startswith(_PACKAGES):
            return f"a function is looked up as the class {function[:120]!r}"
    return ""
