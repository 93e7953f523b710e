"""Reports made by code: one for each thing that a reader may meet."""

from __future__ import annotations

from weighbridge.core.control import ControlVerdict, Verdict
from weighbridge.core.evidence import (
    AttackPath,
    Bytes,
    CallNode,
    CallTree,
    Comparison,
    Edge,
    Node,
    Subgraph,
    Table,
    Text,
    TriggerInput,
)
from weighbridge.core.finding import Action, Confidence, Finding, Gap, GapKind, Related
from weighbridge.core.location import Location
from weighbridge.core.report import (
    SCHEMA,
    AppliedWaiver,
    ArtifactCoverage,
    CheckDoc,
    ControlResult,
    Coverage,
    FileRecord,
    Intel,
    LeftOut,
    Report,
    Target,
    Tool,
)

PROVENANCE = "Provenance and source verification"
MODEL_FILES = "Model file security"
SUPPLY_CHAIN = "Supply chain and CI/CD integrity"
RUNTIME = "Dependency and runtime security"

CONTROLS = (
    ("publisher", PROVENANCE, "Publisher", "Is the publisher who it seems to be?"),
    (
        "integrity",
        PROVENANCE,
        "Integrity",
        "Is every byte the one that was published, and does the reference stay put?",
    ),
    ("lineage", PROVENANCE, "Lineage", "Does what it derives from hold together?"),
    (
        "training-data",
        PROVENANCE,
        "Training data",
        "Is the data it learned from documented, pinned and clean?",
    ),
    ("file-format", MODEL_FILES, "File format", "Can loading run code by design?"),
    ("payload-scan", MODEL_FILES, "Payload scan", "Does any file carry something that acts?"),
    (
        "code-and-templates",
        MODEL_FILES,
        "Code and templates",
        "What code, config, tokenizer or template comes along?",
    ),
    ("backdoor", MODEL_FILES, "Backdoor", "Is there a backdoor in graph or weights?"),
    (
        "workflows",
        SUPPLY_CHAIN,
        "Workflows",
        "Are workflows free of privileged paths from outside?",
    ),
    (
        "training-code",
        SUPPLY_CHAIN,
        "Training code",
        "Does training code install and call only what is pinned?",
    ),
    (
        "release",
        SUPPLY_CHAIN,
        "Release",
        "Can the artifact be traced to that source, with no secret in reach while it is written?",
    ),
    (
        "dependencies",
        RUNTIME,
        "Dependencies",
        "Are packages, base images, loader and serving engine sound?",
    ),
    (
        "isolation",
        RUNTIME,
        "Isolation",
        "Is the place it will run isolated, and its egress controlled?",
    ),
    (
        "monitoring",
        RUNTIME,
        "Monitoring",
        "Is it watched at run time, and re-audited after each base update?",
    ),
)

CHECKS = (
    CheckDoc(
        id="pickle-untrusted-call",
        control="payload-scan",
        title="Calls made while the file loads, to names no model needs.",
        why="Unpickling imports every name and applies every `REDUCE` before your code sees an "
        "object: whatever is called here has run by the time `torch.load` returns.",
        what_to_do="Do not load the file. Ask the publisher for safetensors, or:\n\n"
        "- load with `weights_only=True`,\n- report the repository to the hub.",
        limits="A trusted name can be abused through its arguments: see `pickle-trusted-misuse`.",
        references=(
            "https://docs.python.org/3/library/pickle.html",
            "https://cwe.mitre.org/data/definitions/502.html",
        ),
    ),
    CheckDoc(
        id="pickle-unknown-name",
        control="payload-scan",
        title="Names that are imported while the file loads and that nobody has reviewed.",
        why="Importing a module runs its top level.",
        what_to_do="Find out which library the name belongs to, and whether you trust it.",
        limits="Says nothing about what the name does.",
    ),
    CheckDoc(
        id="loads-by-pickle",
        control="file-format",
        title="The file is of a format whose loading may run code.",
        why="A pickle is a program. That this one is harmless today says nothing of the next.",
        what_to_do="Prefer the safetensors file of the same model.",
        limits="Said of the format, not of this file's content.",
    ),
    CheckDoc(
        id="zip-disagreement",
        control="payload-scan",
        title="Two readers of this archive see two different archives.",
        why="A scanner that follows the central directory can be shown one member and a loader "
        "another.",
        what_to_do="Do not use the archive.",
        limits="Only zip archives.",
    ),
)

TOOL = Tool(name="weighbridge", version="0.1.0", ruleset="3f9a5c1e0b7d" + "0" * 52)
UNCHECKED = "no check reads this yet"


def sha(seed: int) -> str:
    """Something that looks like a sha256."""
    return f"{seed * 0x9E3779B97F4A7C15F39CC0605CEDC834 + 0xA5A5A5:064x}"[-64:]


def report(
    verdict: Verdict,
    sentence: str,
    answers: dict[str, ControlResult],
    *,
    target: str,
    files: tuple[FileRecord, ...],
    artifacts: tuple[ArtifactCoverage, ...] = (),
    waivers: tuple[AppliedWaiver, ...] = (),
    checks: tuple[CheckDoc, ...] = CHECKS,
    left_out: tuple[LeftOut, ...] = (),
) -> Report:
    """A report of all 14 controls, of which `answers` have one."""
    return Report(
        schema=SCHEMA,
        tool=TOOL,
        created="2026-11-23T12:00:00Z",
        target=Target(kind="folder", id=target),
        verdict=verdict,
        sentence=sentence,
        exit_code={"pass": 0, "review": 0, "block": 1, "incomplete": 3}[verdict],
        controls=tuple(
            answers.get(id) or control(id, ControlVerdict.UNKNOWN, UNCHECKED, given=False)
            for id, *_ in CONTROLS
        ),
        files=files,
        coverage=Coverage(
            files=len(files),
            bytes=sum(file.size for file in files),
            hashed=sum(file.sha256 is not None for file in files),
            artifacts=artifacts,
            left_out=left_out,
            jail=("no network", "memory 4.0 GiB", "600 s", "own process group"),
        ),
        checks=checks,
        waivers=waivers,
        policy="weighbridge.toml",
        intel=(Intel(name="needed-by-models", date="2026-11-20"),),
    )


def control(
    id: str,
    verdict: ControlVerdict,
    because: str,
    *,
    given: bool = True,
    findings: tuple[Finding, ...] = (),
    gaps: tuple[Gap, ...] = (),
    checks: tuple[str, ...] = (),
) -> ControlResult:
    """The answer to one of the 14."""
    _, group, title, question = next(row for row in CONTROLS if row[0] == id)
    return ControlResult(
        id=id,
        group=group,
        title=title,
        question=question,
        verdict=verdict,
        because=because,
        given=given,
        findings=findings,
        gaps=gaps,
        checks=checks,
        frameworks=("OWASP LLM03:2025", "MITRE ATLAS T0010.003") if given else (),
    )


def clean() -> Report:
    """A safetensors model of which nothing bad can be said."""
    files = (
        FileRecord(path="config.json", size=651, sha256=sha(1), formats=("json",)),
        FileRecord(
            path="model.safetensors", size=548_105_171, sha256=sha(2), formats=("safetensors",)
        ),
        FileRecord(path="tokenizer.json", size=1_355_256, sha256=sha(3), formats=("json",)),
    )
    return report(
        Verdict.PASS,
        "Pass: nothing was found in the model files, 3 of 14 controls examined.",
        {
            "integrity": control(
                "integrity", ControlVerdict.PASS, "all 3 files have a sha256 in this report"
            ),
            "file-format": control(
                "file-format",
                ControlVerdict.PASS,
                "all files are of data-only formats",
                checks=("loads-by-pickle",),
            ),
            "payload-scan": control(
                "payload-scan",
                ControlVerdict.PASS,
                "1 artifact read whole, nothing in it acts",
                checks=("pickle-untrusted-call", "pickle-unknown-name"),
            ),
            "workflows": control(
                "workflows", ControlVerdict.NOT_APPLICABLE, "the target has no workflows"
            ),
        },
        target="models/clean",
        files=files,
        artifacts=(
            ArtifactCoverage(
                at=Location("model.safetensors"),
                parser="safetensors/1",
                size=548_105_171,
                seen=14_283,
                checks=("safetensors-layout",),
            ),
        ),
    )


def call_tree() -> CallTree:
    """`exec(zlib.decompress(base64.b64decode(...)))`, as a pickle would do it."""
    decode = CallNode(
        name="base64.b64decode",
        how="REDUCE",
        offset=142,
        arguments=("'eJxLzs8tyk…' (1,204 bytes)",),
    )
    inflate = CallNode(name="zlib.decompress", how="REDUCE", offset=171, calls=(decode,))
    getter = CallNode(
        name="builtins.getattr",
        how="REDUCE",
        offset=96,
        arguments=("<module builtins>", "'exec'"),
        calls=(
            CallNode(
                name="importlib.import_module", how="REDUCE", offset=71, arguments=("'builtins'",)
            ),
        ),
    )
    return CallTree(
        title="What runs when the file loads",
        root=CallNode(
            name="builtins.exec",
            how="REDUCE",
            offset=204,
            arguments=("<bytes from zlib.decompress>",),
            calls=(getter, inflate),
            reason="runs any Python source that it is given",
            accused=True,
        ),
    )


def payload_findings() -> tuple[Finding, ...]:
    """Findings with evidence of every kind."""
    inside = ("archive/data.pkl",)
    return (
        Finding(
            message="loading this file calls builtins.exec",
            at=Location("pytorch_model.bin", inside, 204, 1),
            action=Action.BLOCK,
            symbol="builtins.exec",
            related=(
                Related("the name is put together here", Location("pytorch_model.bin", inside, 71)),
            ),
            evidence=(
                call_tree(),
                Bytes(
                    title="The opcodes",
                    hex=b"cbuiltins\ngetattr\n(cimportlib\nimport_module\n(X\x08\0\0\0builtins\x85R".hex(),
                    offset=58,
                ),
                Text(
                    title="The source that would run",
                    text="import os\nos.system('echo weighed')  # harmless in this sample\n",
                    language="python",
                ),
            ),
            check="pickle-untrusted-call",
            fingerprint="wb1:6c1f0a",
        ),
        Finding(
            message="loading this file calls posix.system",
            at=Location("extra/optimizer.pt", (), 11),
            action=Action.BLOCK,
            symbol="posix.system",
            evidence=(
                CallTree(
                    title="What runs when the file loads",
                    root=CallNode(
                        name="posix.system",
                        how="REDUCE",
                        offset=41,
                        arguments=("'echo weighed'",),
                        reason="runs a command",
                        accused=True,
                    ),
                ),
            ),
            check="pickle-untrusted-call",
            fingerprint="wb1:90b2c4",
        ),
        Finding(
            message="two members are called archive/data.pkl, and loaders disagree on which counts",
            at=Location("pytorch_model.bin", ("archive/data.pkl",)),
            action=Action.BLOCK,
            evidence=(
                Comparison(
                    title="Two readings of one member",
                    expected_from="central directory",
                    expected="archive/data.pkl, 1,388 bytes, crc 0x9f3b11c2",
                    found_from="local header",
                    found="archive/data.pkl, 412 bytes, crc 0x00000000",
                ),
                Table(
                    title="All members of that name",
                    columns=("member", "offset", "bytes", "read by"),
                    rows=(
                        ("archive/data.pkl", "64", "1,388", "Python's zipfile"),
                        ("archive/data.pkl", "2,112", "412", "torch (miniz)"),
                    ),
                ),
            ),
            check="zip-disagreement",
            fingerprint="wb1:aa01d2",
        ),
        Finding(
            message="loading this file imports acme_layers.blocks.Gate, which nobody has reviewed",
            at=Location("pytorch_model.bin", inside, 660),
            action=Action.REVIEW,
            symbol="acme_layers.blocks.Gate",
            confidence=Confidence.LIKELY,
            evidence=(
                Subgraph(
                    title="Where the class is used",
                    nodes=(
                        Node("in", "input_ids", "input"),
                        Node("emb", "embeddings"),
                        Node("gate", "acme_layers.blocks.Gate", "accused"),
                        Node("enc", "encoder"),
                        Node("head", "lm_head"),
                        Node("out", "logits", "output"),
                    ),
                    edges=(
                        Edge("in", "emb"),
                        Edge("in", "gate", "copy", "accused"),
                        Edge("emb", "enc"),
                        Edge("enc", "head"),
                        Edge("gate", "head", "overrides", "accused"),
                        Edge("head", "out"),
                    ),
                ),
                AttackPath(
                    title="How an outsider gets there",
                    steps=(
                        Node("a", "anybody publishes acme-layers on the index", "outsider"),
                        Node("b", "the loader installs it by name"),
                        Node("c", "importing it runs its top level"),
                        Node("d", "the host's credentials", "loss"),
                    ),
                ),
            ),
            check="pickle-unknown-name",
            fingerprint="wb1:b7730e",
        ),
    )


def hostile() -> Report:
    """Findings of every action, evidence of every kind, a waiver that holds, one that expired."""
    waived = Finding(
        message="loading this file imports legacy_tools.Config, which nobody has reviewed",
        at=Location("training_args.bin", ("archive/data.pkl",), 88),
        action=Action.REVIEW,
        symbol="legacy_tools.Config",
        check="pickle-unknown-name",
        fingerprint="wb1:0c0ffe",
        waiver="legacy-config",
    )
    note = Finding(
        message="pytorch_model.bin and 2 more files load by unpickling; "
        "model.safetensors holds the same model",
        at=Location("pytorch_model.bin"),
        action=Action.NOTE,
        check="loads-by-pickle",
        fingerprint="wb1:111111",
    )
    paths = ("extra/optimizer.pt", "model.safetensors", "pytorch_model.bin", "training_args.bin")
    return report(
        Verdict.BLOCK,
        "Block: payload scan fails, because loading pytorch_model.bin calls builtins.exec "
        "(and 2 more reasons); model files only, 3 of 14 controls.",
        {
            "integrity": control(
                "integrity", ControlVerdict.WARN, "digests are of the same origin as the files"
            ),
            "file-format": control(
                "file-format",
                ControlVerdict.WARN,
                "3 files load by unpickling, beside a safetensors file of the same model",
                findings=(note,),
                checks=("loads-by-pickle",),
            ),
            "payload-scan": control(
                "payload-scan",
                ControlVerdict.FAIL,
                "loading pytorch_model.bin calls builtins.exec, and 2 more findings block",
                findings=(*payload_findings(), waived),
                checks=("pickle-untrusted-call", "pickle-unknown-name", "zip-disagreement"),
            ),
        },
        target="models/hostile",
        files=tuple(
            FileRecord(
                path=path,
                size=4_096 * (number + 1) ** 5,
                sha256=sha(number),
                formats=("safetensors",) if "safe" in path else ("torch-zip", "zip"),
            )
            for number, path in enumerate(paths)
        ),
        artifacts=tuple(
            ArtifactCoverage(
                at=Location("pytorch_model.bin", inside),
                parser=parser,
                size=1_388,
                seen=1_388,
                checks=("pickle-untrusted-call",),
            )
            for inside, parser in (((), "zip/1"), (("archive/data.pkl",), "pickle/1"))
        ),
        waivers=(
            AppliedWaiver(
                id="legacy-config",
                reason="our own class, read by two people on 2026-10-02",
                owner="ml-platform@example.org",
                expires="2027-01-31",
                expired=False,
                covers=1,
            ),
            AppliedWaiver(
                id="old-optimizer",
                reason="to be removed with release 4",
                owner="ml-platform@example.org",
                expires="2026-06-30",
                expired=True,
                covers=0,
            ),
        ),
        left_out=(LeftOut(path=".git", why="version control's own store"),),
    )


def incomplete() -> Report:
    """Nothing bad found, but not everything was seen."""
    gaps = (
        Gap(
            kind=GapKind.ENCRYPTED,
            message="the member is encrypted, and no loader could read it without its password",
            at=Location("weights.zip", ("model.bin",)),
            controls=("file-format", "payload-scan"),
        ),
        Gap(
            kind=GapKind.MALFORMED,
            message="a pickle that ends in the middle of BINUNICODE (at byte 8,191)",
            at=Location("shards/part-2.bin", (), 8_191),
            controls=("payload-scan",),
        ),
        Gap(
            kind=GapKind.TOO_LARGE,
            message="the archive expands to more than 8.0 GiB",
            at=Location("data.tar.xz"),
            controls=("payload-scan",),
            accepted="training data, never loaded in production",
        ),
    )
    files = tuple(
        FileRecord(path=path, size=size, sha256=sha(size) if size < 10**9 else None)
        for path, size in (
            ("data.tar.xz", 2_147_483_648),
            ("shards/part-1.bin", 8_192),
            ("shards/part-2.bin", 8_191),
            ("weights.zip", 70_001),
        )
    )
    return report(
        Verdict.INCOMPLETE,
        "Incomplete: 2 places could not be read (weights.zip is encrypted, shards/part-2.bin is "
        "malformed), so payload scan stays open; model files only, 2 of 14 controls.",
        {
            "file-format": control(
                "file-format", ControlVerdict.UNKNOWN, "1 member is encrypted", gaps=gaps[:1]
            ),
            "payload-scan": control(
                "payload-scan", ControlVerdict.UNKNOWN, "2 places could not be read", gaps=gaps
            ),
        },
        target="models/incomplete",
        files=files,
    )


ESCAPES = "\x1b[2J\x1b]8;;http://evil.example\x07click\x1b]8;;\x07"
BIDI = "safe\u202egpj.exe\u2066\u200b\ufeff\U000e0041"
MARKUP = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
MARKDOWN = "[a](http://evil.example) @octocat #123 `x` ``` | **b** <b>c</b> &amp; www.evil.example"
BYTES = "caf\udce9\udcff.bin"
RICH = "[bold red]not markup[/bold red] :skull:"
FOREIGN = (ESCAPES, BIDI, MARKUP, MARKDOWN, BYTES, RICH, "\ud800", "a\nb\r\tc\x00\x9b31m", "")


def foreign() -> Report:
    """Foreign text in every place where foreign text can stand."""
    everything = " ".join(FOREIGN)
    findings = tuple(
        Finding(
            message=f"loading this file calls {text}",
            at=Location(f"dir/{text}", (text, text), 1, symbol=text),
            action=Action.BLOCK,
            symbol=text,
            related=(Related(text, Location(text)),),
            evidence=(
                CallTree(
                    title=text,
                    root=CallNode(
                        name=text,
                        how=text,
                        offset=0,
                        arguments=(text, text),
                        calls=(CallNode(name=text, how=text, offset=1),),
                        reason=text,
                        accused=True,
                    ),
                ),
                Text(title=text, text=f"{text}\n{text}", language=text),
                Bytes(title=text, hex=text.encode("utf-8", "surrogatepass").hex(), offset=0),
                Comparison(
                    title=text, expected_from=text, expected=text, found_from=text, found=text
                ),
                Table(title=text, columns=(text, text), rows=((text, text),)),
                Subgraph(
                    title=text,
                    nodes=(Node(text, text, text), Node("b", text, text)),
                    edges=(Edge(text, "b", text, text),),
                ),
                AttackPath(title=text, steps=(Node(text, text, text),)),
                TriggerInput(
                    title=text,
                    input=text,
                    sort=text,
                    type=text,
                    shape=(1, 3, 4, 4),
                    low=0.0,
                    high=1.0,
                    changed=2,
                    places=(0, 17),
                    numbers=(0.5, 1e308),
                ),
            ),
            check="pickle-untrusted-call",
            fingerprint=f"wb1:{number}",
        )
        for number, text in enumerate(FOREIGN)
    )
    gaps = tuple(
        Gap(kind=GapKind.CRASHED, message=text, at=Location(text, (text,)), accepted=text or None)
        for text in FOREIGN
    )
    return report(
        Verdict.BLOCK,
        f"Block: loading {everything} calls {everything}",
        {
            "payload-scan": control(
                "payload-scan",
                ControlVerdict.FAIL,
                everything,
                findings=(
                    *findings,
                    *(
                        Finding(
                            message=text,
                            at=Location(text),
                            action=Action.REVIEW,
                            check=text,
                            waiver="w",
                        )
                        for text in FOREIGN
                    ),
                ),
                gaps=gaps,
            )
        },
        target=everything,
        files=tuple(
            FileRecord(path=text, size=1, sha256=sha(1), formats=(text,)) for text in FOREIGN
        ),
        artifacts=tuple(
            ArtifactCoverage(
                at=Location(text, (text,)), parser=text, size=1, seen=1, checks=(text,)
            )
            for text in FOREIGN
        ),
        waivers=(
            AppliedWaiver(
                id="w",
                reason=everything,
                owner=everything,
                expires="2027-01-31",
                expired=False,
                covers=1,
            ),
        ),
        left_out=tuple(LeftOut(path=text, why=text) for text in FOREIGN),
    )


def many(number: int = 1_000) -> Report:
    """The same said of very many files."""
    findings = tuple(
        Finding(
            message="loading this file calls posix.system",
            at=Location(f"checkpoints/step-{index:05d}.pt", ("archive/data.pkl",), 204),
            action=Action.BLOCK,
            symbol="posix.system",
            evidence=(call_tree(),),
            check="pickle-untrusted-call",
            fingerprint=f"wb1:{index:x}",
        )
        for index in range(number)
    )
    return report(
        Verdict.BLOCK,
        f"Block: payload scan fails, because {number:,} files call posix.system when loaded.",
        {
            "payload-scan": control(
                "payload-scan",
                ControlVerdict.FAIL,
                f"{number:,} files call posix.system",
                findings=findings,
            )
        },
        target="models/many",
        files=tuple(
            FileRecord(path=finding.at.path, size=2_048, sha256=sha(index), formats=("torch-zip",))
            for index, finding in enumerate(findings)
        ),
    )


ALL = (clean, hostile, incomplete, foreign, many)
