"""SARIF 2.1.0, by the letter of the parts that are used.

No package ships the schema, so the types below say what of it the log may hold: the names and the
required properties are those of the specification, and a property that is not there is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType, field

from reports import samples
from weighbridge.core.finding import Action
from weighbridge.core.report import Report
from weighbridge.reports import sarif

Level = Literal["none", "note", "warning", "error"]
Said = Annotated[str, Meta(min_length=1)]
Natural = Annotated[int, Meta(ge=0)]
# RFC 3986: a relative reference, whose first segment holds no colon.
RelativeUri = Annotated[str, Meta(pattern=r"^(?!/)([A-Za-z0-9._~/-]|%[0-9A-F]{2})+$")]
Bag = dict[str, Any]


class Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    properties: Bag | UnsetType = UNSET


class Message(Strict):
    text: Said


class Help(Strict):
    text: Said
    markdown: Said


class ArtifactLocation(Strict):
    uri: RelativeUri
    uri_base_id: str


class ByteRegion(Strict):
    byte_offset: Natural
    byte_length: Natural
    start_line: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class PhysicalLocation(Strict):
    artifact_location: ArtifactLocation
    region: ByteRegion | UnsetType = UNSET


class LogicalLocation(Strict):
    fully_qualified_name: str
    name: str | UnsetType = UNSET
    kind: Said | UnsetType = UNSET


class Location(Strict):
    id: Natural | UnsetType = UNSET
    message: Message | UnsetType = UNSET
    physical_location: PhysicalLocation | UnsetType = UNSET
    logical_locations: list[LogicalLocation] | UnsetType = UNSET


class ThreadFlowLocation(Strict):
    location: Location
    nesting_level: Natural | UnsetType = UNSET
    importance: Literal["important", "essential", "unimportant"] | UnsetType = UNSET


class ThreadFlow(Strict):
    locations: Annotated[list[ThreadFlowLocation], Meta(min_length=1)]


class CodeFlow(Strict):
    message: Message
    thread_flows: Annotated[list[ThreadFlow], Meta(min_length=1)]


class Suppression(Strict):
    kind: Literal["inSource", "external"]
    status: Literal["accepted", "underReview", "rejected"]
    justification: Said


class Result(Strict):
    rule_id: str
    rule_index: Natural
    level: Level
    message: Message
    locations: Annotated[list[Location], Meta(min_length=1)]
    suppressions: list[Suppression]
    partial_fingerprints: dict[str, str] | UnsetType = UNSET
    related_locations: list[Location] | UnsetType = UNSET
    code_flows: list[CodeFlow] | UnsetType = UNSET


class Configuration(Strict):
    level: Level


class Rule(Strict):
    id: Said
    short_description: Message
    full_description: Message
    help: Help
    default_configuration: Configuration
    help_uri: Annotated[str, Meta(pattern="^https://")] | UnsetType = UNSET


class Descriptor(Strict):
    id: Said
    short_description: Message


class Driver(Strict):
    name: Said
    version: Said
    rules: list[Rule]
    notifications: list[Descriptor]


class Tool(Strict):
    driver: Driver


class Reference(Strict):
    id: Said


class Notification(Strict):
    descriptor: Reference
    level: Level
    message: Message
    locations: list[Location]


class Invocation(Strict):
    execution_successful: bool
    exit_code: int
    end_time_utc: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]
    tool_execution_notifications: list[Notification]


class Artifact(Strict):
    location: ArtifactLocation
    length: Annotated[int, Meta(ge=-1)]
    hashes: dict[str, str] | UnsetType = UNSET


class BaseId(Strict):
    description: Message


class Run(Strict):
    tool: Tool
    invocations: list[Invocation]
    original_uri_base_ids: dict[str, BaseId]
    artifacts: list[Artifact]
    results: list[Result]
    column_kind: Literal["utf16CodeUnits", "unicodeCodePoints"]


class Log(Strict):
    version: Literal["2.1.0"]
    runs: Annotated[list[Run], Meta(min_length=1, max_length=1)]
    schema_: str = field(name="$schema")


def run(report: Report) -> Run:
    return msgspec.json.decode(sarif.render(report), type=Log).runs[0]


@pytest.mark.parametrize("sample", samples.ALL)
def test_is_sarif(sample: Callable[[], Report]) -> None:
    read = run(sample())
    rules = [rule.id for rule in read.tool.driver.rules]
    descriptors = {descriptor.id for descriptor in read.tool.driver.notifications}
    assert len(rules) == len(set(rules))
    for result in read.results:
        assert rules[result.rule_index] == result.rule_id
    for invocation in read.invocations:
        for notification in invocation.tool_execution_notifications:
            assert notification.descriptor.id in descriptors
    for artifact in read.artifacts:
        assert artifact.location.uri_base_id in read.original_uri_base_ids


def test_results() -> None:
    first, second, *_, note = sorted(
        run(samples.hostile()).results, key=lambda result: (result.level, result.rule_id)
    )
    assert (first.level, first.rule_id) == ("error", "pickle-untrusted-call")
    assert first.partial_fingerprints == {"weighbridge/v1": "wb1:6c1f0a"}
    # Inside a member, the offset is none of the file's.
    where = first.locations[0]
    assert where.physical_location
    assert where.physical_location.artifact_location.uri == "pytorch_model.bin"
    assert where.physical_location.region is UNSET
    assert where.logical_locations
    inside = where.logical_locations[0]
    assert inside.fully_qualified_name == "pytorch_model.bin!/archive/data.pkl"
    assert inside.properties == {"byteOffset": 204}

    assert second.locations[0].physical_location
    region = second.locations[0].physical_location.region
    assert region
    assert (region.byte_offset, region.byte_length) == (11, 0)
    assert note.level == "warning"


def test_levels() -> None:
    levels = {result.level: result.properties for result in run(samples.hostile()).results}
    assert {level: bag["action"] for level, bag in levels.items() if bag} == {
        "error": Action.BLOCK,
        "warning": Action.REVIEW,
        "note": Action.NOTE,
    }


def test_a_waived_finding_is_suppressed_and_there() -> None:
    suppressed = [result for result in run(samples.hostile()).results if result.suppressions]
    assert [result.message.text for result in suppressed] == [
        "loading this file imports legacy_tools.Config, which nobody has reviewed"
    ]
    assert suppressed[0].suppressions[0].justification == (
        "our own class, read by two people on 2026-10-02 "
        "(waiver legacy-config of ml-platform@example.org, until 2027-01-31)"
    )


def test_gaps_are_notifications() -> None:
    invocation = run(samples.incomplete()).invocations[0]
    assert not invocation.execution_successful
    assert invocation.exit_code == 3
    notifications = invocation.tool_execution_notifications
    assert [(n.descriptor.id, n.level) for n in notifications] == [
        ("gap/encrypted", "warning"),
        ("gap/malformed", "warning"),
        ("gap/too-large", "warning"),
    ]


def test_a_call_tree_is_a_code_flow_in_the_order_of_execution() -> None:
    flows = run(samples.hostile()).results[1].code_flows
    assert flows
    steps = flows[0].thread_flows[0].locations
    said = [step.location.message.text for step in steps if step.location.message]
    assert [text.split("(")[0] for text in said] == [
        "importlib.import_module",
        "builtins.getattr",
        "base64.b64decode",
        "zlib.decompress",
        "builtins.exec",
    ]
    assert [step.importance for step in steps][-2:] == ["important", "essential"]


def test_the_help_is_the_check_s_documentation() -> None:
    rule = run(samples.hostile()).tool.driver.rules[0]
    assert rule.help.markdown.startswith("## Why it matters\n\nUnpickling imports every name")
    assert "## Limits\n\nA trusted name can be abused" in rule.help.markdown


def test_a_path_keeps_its_bytes() -> None:
    uris = [artifact.location.uri for artifact in run(samples.foreign()).artifacts]
    assert b"caf\xe9\xff.bin" in map(unquote_to_bytes, uris)
    assert samples.BIDI.encode() in map(unquote_to_bytes, uris)
