"""The report as SARIF 2.1.0, for code scanning and for viewers.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html; the numbers of sections
below are those of that document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from weighbridge.core.control import Verdict
from weighbridge.core.evidence import AttackPath, CallNode, CallTree
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.report import CheckDoc, Report
from weighbridge.reports import reading
from weighbridge.reports.formats import Reporter
from weighbridge.reports.json import legible
from weighbridge.reports.printable import printable

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
BASE = "TARGET"
STEPS = 500
LEVELS = {Action.BLOCK: "error", Action.REVIEW: "warning", Action.NOTE: "note"}
SEVERITIES = {Action.BLOCK: "9.0", Action.REVIEW: "5.0", Action.NOTE: "1.0"}

Object = dict[str, Any]


def render(report: Report) -> bytes:
    """One SARIF log with one run, in UTF-8, indented. Texts are `printable()`, as viewers and
    terminals show them; a path keeps its bytes, percent-encoded."""
    text = json.dumps(log(report), ensure_ascii=False, indent=2)
    return "\n".join(map(legible, text.split("\n"))).encode() + b"\n"


def log(report: Report) -> Object:
    """The SARIF log as plain objects."""
    docs = _rules(report)
    indices = {id: index for index, id in enumerate(docs)}
    worst = _worst_actions(report)
    waivers = {waiver.id: waiver for waiver in report.waivers}
    driver = {
        "name": report.tool.name,
        "version": report.tool.version,
        "rules": [_rule(doc, worst.get(id, Action.NOTE)) for id, doc in docs.items()],
        "notifications": [
            {"id": f"gap/{kind.value}", "shortDescription": {"text": f"Not seen: {kind.value}"}}
            for kind in GapKind
        ],
        "properties": {"ruleset": report.tool.ruleset},
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [_invocation(report)],
        "originalUriBaseIds": {
            BASE: {"description": {"text": f"The audited {_said(report.target.kind)}"}}
        },
        "artifacts": [
            {
                "location": _artifact(file.path),
                "length": file.size,
                **({"hashes": {"sha-256": file.sha256}} if file.sha256 else {}),
            }
            for file in report.files
        ],
        "results": [
            _result(finding, indices[finding.check], _suppressions(finding, waivers))
            for finding in reading.findings(report)
        ],
        "columnKind": "unicodeCodePoints",
        "properties": {
            "verdict": report.verdict.value,
            "sentence": printable(report.sentence),
            "controls": {control.id: control.verdict.value for control in report.controls},
            "intel": {known.name: known.date for known in report.intel},
        },
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rules(report: Report) -> dict[str, CheckDoc]:
    docs = {doc.id: doc for doc in report.checks}
    for group in reading.groups(report):
        docs.setdefault(group.doc.id, group.doc)
    return docs


def _worst_actions(report: Report) -> dict[str, Action]:
    order = (*Action,)
    worst: dict[str, Action] = {}
    for finding in reading.findings(report):
        before = worst.get(finding.check, Action.NOTE)
        worst[finding.check] = min(before, finding.action, key=order.index)
    return worst


def _rule(doc: CheckDoc, action: Action) -> Object:
    """3.49 reportingDescriptor."""
    sections = (
        ("Why it matters", doc.why),
        ("What to do", doc.what_to_do),
        ("Limits", doc.limits),
        ("References", "\n".join(f"- <{reference}>" for reference in doc.references)),
    )
    markdown = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections if text)
    title = _said(doc.title)
    rule: Object = {
        "id": _said(doc.id),
        "shortDescription": {"text": title},
        "fullDescription": {"text": _said(" ".join(doc.why.split()) or title)},
        "help": {"text": _lines(markdown) or title, "markdown": _lines(markdown) or title},
        "defaultConfiguration": {"level": LEVELS[action]},
        "properties": {
            "tags": ["security", *([_said(doc.control)] if doc.control else [])],
            "security-severity": SEVERITIES[action],
        },
    }
    if doc.references:
        rule["helpUri"] = doc.references[0]
    return rule


def _result(finding: Finding, rule: int, suppressions: list[Object]) -> Object:
    """3.27 result."""
    result: Object = {
        "ruleId": _said(finding.check),
        "ruleIndex": rule,
        "level": LEVELS[finding.action],
        "message": {"text": _said(finding.message)},
        "locations": [_location(finding.at)],
        "suppressions": suppressions,
        "properties": {
            "action": finding.action.value,
            "confidence": finding.confidence.value,
            **({"symbol": printable(finding.symbol)} if finding.symbol else {}),
        },
    }
    if finding.fingerprint:
        result["partialFingerprints"] = {"weighbridge/v1": printable(finding.fingerprint)}
    if finding.related:
        result["relatedLocations"] = [
            {"id": number, "message": {"text": _said(related.message)}, **_location(related.at)}
            for number, related in enumerate(finding.related)
        ]
    flows = [flow for evidence in finding.evidence for flow in _flow(evidence, finding.at)]
    if flows:
        result["codeFlows"] = flows
    return result


def _suppressions(finding: Finding, waivers: dict[str, Any]) -> list[Object]:
    """3.35 suppression. An empty list says that it was looked and nothing suppresses the result."""
    if finding.waiver is None:
        return []
    waiver = waivers.get(finding.waiver)
    words = f"waiver {finding.waiver}"
    if waiver:
        words = f"{waiver.reason} ({words} of {waiver.owner}, until {waiver.expires})"
    return [{"kind": "external", "status": "accepted", "justification": printable(words)}]


def _location(at: Location) -> Object:
    """3.28 location. A region counts within a file, so what lies inside a member has none: its
    offset and its line (in a cell of a notebook) stand with the logical location instead."""
    physical: Object = {"artifactLocation": _artifact(at.path)}
    logical: list[Object] = []
    if at.inside:
        whole = "".join(f"!/{printable(step)}" for step in at.inside)
        logical.append(
            {
                "name": printable(at.inside[-1]),
                "fullyQualifiedName": printable(at.path) + whole,
                "kind": "member",
            }
        )
        within = {"byteOffset": at.offset, "line": at.line}
        if known := {key: value for key, value in within.items() if value is not None}:
            logical[0]["properties"] = known
    else:
        region: Object = {}
        if at.offset is not None:
            region |= {"byteOffset": at.offset, "byteLength": at.length or 0}
        if at.line is not None:
            region["startLine"] = at.line
        if region:
            physical["region"] = region
    if at.symbol is not None:
        logical.append({"fullyQualifiedName": printable(at.symbol)})
    location: Object = {"physicalLocation": physical}
    if logical:
        location["logicalLocations"] = logical
    return location


def _artifact(path: str) -> Object:
    """3.4 artifactLocation: a relative URI reference (RFC 3986), of the bytes of the path."""
    try:
        raw = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        raw = path.encode("utf-8", "surrogatepass")
    return {"uri": quote(raw, safe="/").lstrip("/") or ".", "uriBaseId": BASE}


def _flow(evidence: object, at: Location) -> Iterator[Object]:
    """3.36 codeFlow."""
    match evidence:
        case CallTree():
            steps = [
                {
                    "location": {
                        **_location(Location(at.path, at.inside, node.offset)),
                        "message": {"text": _call(node)},
                    },
                    "nestingLevel": depth,
                    "importance": "essential" if node.accused else "important",
                }
                for node, depth in _in_order(evidence.root)
            ]
        case AttackPath():
            steps = [
                {
                    "location": {
                        **(_location(step.at) if step.at is not None else {}),
                        "message": {"text": _said(step.label)},
                    }
                }
                for step in evidence.steps
            ]
        case _:
            return
    if steps:
        flow = {"message": {"text": _said(evidence.title)}, "threadFlows": [{"locations": steps}]}
        yield flow


def _in_order(root: CallNode) -> list[tuple[CallNode, int]]:
    """The calls as they happen: those that feed one come before it. The last `STEPS` of them."""
    reversed_order: list[tuple[CallNode, int]] = []
    waiting = [(root, 0)]
    while waiting and len(reversed_order) < STEPS:
        node, depth = waiting.pop()
        reversed_order.append((node, depth))
        waiting.extend((feeder, depth + 1) for feeder in node.calls)
    return reversed_order[::-1]


def _call(node: CallNode) -> str:
    words = f"{node.name}({', '.join(node.arguments)}) by {node.how}"
    return printable(f"{words}: {node.reason}" if node.reason else words)


def _invocation(report: Report) -> Object:
    """3.20 invocation. What was not seen must not be lost: each gap is a notification."""
    return {
        "executionSuccessful": report.verdict is not Verdict.INCOMPLETE,
        "exitCode": report.exit_code,
        "endTimeUtc": report.created,
        "toolExecutionNotifications": [_notification(gap) for gap in reading.gaps(report)],
    }


def _notification(gap: Gap) -> Object:
    """3.58 notification."""
    accepted = f" (accepted: {gap.accepted})" if gap.accepted else ""
    return {
        "descriptor": {"id": f"gap/{gap.kind.value}"},
        "level": "warning",
        "message": {"text": _said(gap.message + accepted)},
        "locations": [_location(gap.at)],
        "properties": {"controls": list(map(printable, gap.controls))},
    }


def _said(text: str) -> str:
    return printable(text) or "(nothing)"


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


REPORTER = Reporter(name="sarif", suffix=".sarif", render=render)
