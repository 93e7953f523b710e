"""The 14 controls, as a table. Reports, policies and attestations name them by id."""

from __future__ import annotations

from typing import Final

from weighbridge.core.control import Control, OnFail

GROUPS: Final = {
    "provenance": "Provenance and source verification",
    "model_files": "Model file security",
    "supply_chain": "Supply chain and CI/CD integrity",
    "runtime": "Dependency and runtime security",
}
"""The groups of the checklist in its order: id to title."""

CONTROLS: Final[tuple[Control, ...]] = (
    Control(
        id="publisher",
        group="provenance",
        title="Publisher",
        question="Is the publisher who it seems to be?",
        evidence="The owner's record and whether the organisation is verified, the repository's "
        "identity and age against the lock, redirects, names that can be confused with known "
        "ones, the same card or repository name under another owner.",
        passes="The publisher is on the policy's list and the identity is the one in the lock.",
        fails="The name imitates a known one, the identity changed under the same name, or the "
        "card is a copy that does not name its original.",
        warns="The publisher is met for the first time. Downloads, likes and badges never count "
        "towards a pass.",
        on_fail=OnFail.BLOCK,
        gap_incompletes=True,
        frameworks=(
            "OWASP LLM03:2025 risk 5",
            "MITRE ATLAS AML.T0010.003",
            "MITRE ATLAS AML.T0073",
            "MITRE ATLAS AML.T0074",
            "MITRE ATLAS AML.T0111",
            "OWASP AISVS 6.1.2",
            "CWE-1357",
        ),
    ),
    Control(
        id="integrity",
        group="provenance",
        title="Integrity",
        question="Is every byte the one that was published, and does the reference stay put?",
        evidence="The sha256 of every file, the digests that the publisher states, signatures "
        "under an identity policy, a pinned commit for the model and for everything that it "
        "fetches in turn.",
        passes="All files match a digest of independent origin, or a signature by an identity "
        "that the policy names.",
        fails="A digest or a signature does not match, or the policy demands a signature and "
        "there is none.",
        warns="The digests come from the same origin as the files, or the reference is a branch "
        "or a tag, which can move.",
        on_fail=OnFail.BLOCK,
        gap_incompletes=True,
        frameworks=(
            "OWASP LLM03:2025 risk 5",
            "OWASP LLM03:2025 risk 8",
            "MITRE ATLAS AML.T0010.003",
            "OWASP AISVS 3.1.2",
            "OWASP AISVS 3.1.3",
            "OWASP AISVS 6.1.3",
            "CWE-345",
            "CWE-494",
        ),
    ),
    Control(
        id="lineage",
        group="provenance",
        title="Lineage",
        question="Does what it derives from hold together?",
        evidence="What card, adapter and file metadata declare as the base; tensor names and "
        "shapes, tokenizer and sampled weights against that base; the licence against its text.",
        passes="What is declared is what was measured.",
        fails="What was measured contradicts what is declared.",
        warns="Nothing is declared, or the base cannot be had for comparison.",
        on_fail=OnFail.REVIEW,
        gap_incompletes=False,
        frameworks=(
            "OWASP LLM03:2025 risk 2",
            "OWASP LLM03:2025 risk 5",
            "OWASP LLM03:2025 risk 6",
            "OWASP LLM03:2025 risk 7",
            "MITRE ATLAS AML.T0010.003",
            "CWE-1357",
        ),
    ),
    Control(
        id="training-data",
        group="provenance",
        title="Training data",
        question="Is the data it learned from documented, pinned and clean?",
        evidence="The data sets named for pre-training, fine-tuning and embeddings, with their "
        "revisions; loader scripts, lists of addresses, duplicates, texts tied to a trigger, "
        "hidden text in whatever data is at hand.",
        passes="Every named set resolves, is pinned and hashed and runs no code, and the data at "
        "hand was examined.",
        fails="A loader carries a payload, or a cluster of poisoned samples is confirmed.",
        warns="The data is not documented. Without access to it the answer is unknown, never pass.",
        on_fail=OnFail.REVIEW,
        gap_incompletes=False,
        frameworks=(
            "OWASP LLM04:2025",
            "MITRE ATLAS AML.T0010.002",
            "MITRE ATLAS AML.T0010.003",
            "MITRE ATLAS AML.T0019",
            "MITRE ATLAS AML.T0020",
            "MITRE ATLAS AML.T0059",
            "MITRE ATLAS AML.T0070",
            "OWASP AISVS 1.1.2",
            "OWASP AISVS 1.3.1",
        ),
    ),
    Control(
        id="file-format",
        group="model_files",
        title="File format",
        question="Can loading run code by design?",
        evidence="What every file is by its content, pickles beside safetensors, the loader that "
        "will be used and its version.",
        passes="The declared loader can only reach formats that hold data and nothing else.",
        fails="The loader reaches a pickle and is not safe for it.",
        warns="A format that can run code is there, also where safetensors lie beside it.",
        on_fail=OnFail.REVIEW,
        gap_incompletes=True,
        frameworks=(
            "MITRE ATLAS AML.T0010.003",
            "MITRE ATLAS AML.T0011.000",
            "OWASP AISVS 4.1.2",
            "CWE-502",
        ),
    ),
    Control(
        id="payload-scan",
        group="model_files",
        title="Payload scan",
        question="Does any file carry something that acts?",
        evidence="The calls that loading makes, layers and operators that hold code, archive "
        "tricks, embedded programs, secrets, digests known to be bad; also in models inside "
        "packages.",
        passes="Every file was parsed, and nothing is in it but what models need.",
        fails="Loading reaches a call that no model needs.",
        warns="Something is there that nobody has reviewed. A file that is truncated, malformed "
        "or over a limit leaves the answer unknown.",
        on_fail=OnFail.BLOCK,
        gap_incompletes=True,
        frameworks=(
            "OWASP LLM03:2025 risk 4",
            "OWASP LLM03:2025 risk 6",
            "MITRE ATLAS AML.T0010.003",
            "MITRE ATLAS AML.T0011.000",
            "MITRE ATLAS AML.T0018.002",
            "MITRE ATLAS AML.T0076",
            "OWASP AISVS 6.1.1",
            "CWE-22",
            "CWE-502",
            "CWE-506",
        ),
    ),
    Control(
        id="code-and-templates",
        group="model_files",
        title="Code and templates",
        question="What code, configuration, tokenizer or template comes along?",
        evidence="Custom Python and the keys that load it, configuration that names a "
        "repository, an address or a class, the chat template's syntax tree and the tokenizer "
        "against those of the base.",
        passes="There is none, or it was reviewed by digest; tokenizer and template are those of "
        "the declared base.",
        fails="Another repository is loaded on the side, a template leaves its sandbox or "
        "injects text on a condition, or a token was turned into an address or a command.",
        warns="Code comes along: it is listed whole, for a person to read.",
        on_fail=OnFail.BLOCK,
        gap_incompletes=False,
        frameworks=(
            "OWASP LLM03:2025 risk 4",
            "MITRE ATLAS AML.T0010.003",
            "CWE-94",
            "CWE-829",
            "CWE-1336",
        ),
    ),
    Control(
        id="backdoor",
        group="model_files",
        title="Backdoor",
        question="Is there a backdoor in the graph or in the weights?",
        evidence="In the graph: gated paths that bypass or override what was learned, function "
        "bodies, the difference from a reference. In the weights: what changed against the base, "
        "the rank of the change, outliers, evaluations of behaviour.",
        passes="The graph equals a trusted reference, or was analysed whole with nothing gated. "
        "Weights never pass by themselves.",
        fails="An override of the output is shown, with the trigger that sets it off.",
        warns="No indicator was found in the weights, with the coverage stated, until the policy "
        "accepts that by name and with an expiry.",
        on_fail=OnFail.BLOCK,
        gap_incompletes=False,
        frameworks=(
            "OWASP LLM03:2025 risk 4",
            "OWASP LLM03:2025 risk 6",
            "OWASP LLM04:2025",
            "MITRE ATLAS AML.T0010.003",
            "MITRE ATLAS AML.T0018.000",
            "MITRE ATLAS AML.T0018.001",
            "MITRE ATLAS AML.T0058",
            "OWASP AISVS 6.1.4",
            "CWE-506",
        ),
    ),
    Control(
        id="workflows",
        group="supply_chain",
        title="Workflows",
        question="Are the workflows free of pull_request_target mistakes, actions that are not "
        "pinned to a commit, excessive permissions and injection?",
        evidence="For each job: what triggers it, who can reach it, its guards, the untrusted "
        "text it takes in, its token and secrets, what it publishes.",
        passes="Nobody outside has a privileged way in, and third-party actions are pinned "
        "wherever a secret or a publication is in reach.",
        fails="Untrusted code or text runs in a job that holds a write token or secrets.",
        warns="The way in is guarded. A CI system that is not understood leaves the answer "
        "unknown; without workflows the question does not apply.",
        on_fail=OnFail.REVIEW,
        gap_incompletes=True,
        frameworks=(
            "MITRE ATLAS AML.T0010.001",
            "MITRE ATLAS AML.T0055",
            "CWE-94",
            "CWE-829",
        ),
    ),
    Control(
        id="training-code",
        group="supply_chain",
        title="Training code",
        question="Do scripts or notebooks install unpinned versions or call external services "
        "during training?",
        evidence="Scripts and notebook cells: installs and the indexes they use, what they load "
        "and whether they trust remote code, where they connect to, configuration of agents and "
        "editors.",
        passes="Everything is pinned and hashed, and every destination is on the list.",
        fails="Something is installed over plain http or from a moving branch, data goes to a "
        "host known for it, or a download is loaded unsafely.",
        warns="Anything between the two.",
        on_fail=OnFail.REVIEW,
        gap_incompletes=False,
        frameworks=("MITRE ATLAS AML.T0010.001", "CWE-494", "CWE-829"),
    ),
    Control(
        id="release",
        group="supply_chain",
        title="Release",
        question="Can the artifact be traced to that source, with no secret in reach while it is "
        "written?",
        evidence="The release's commit against the digest, attestations with the identity of "
        "workflow and branch, caches restored in jobs that publish, the publisher's credentials, "
        "releases without a tag.",
        passes="A workflow that the policy names attested it on a protected branch, without "
        "foreign caches.",
        fails="The artifact differs from what was built, the release has no source, or the "
        "attestation comes from an unexpected branch.",
        warns="There is no attestation, which is the norm. An attestation never clears what the "
        "files, the code or the workflows show.",
        on_fail=OnFail.REVIEW,
        gap_incompletes=False,
        frameworks=(
            "OWASP LLM03:2025 risk 7",
            "MITRE ATLAS AML.T0010.001",
            "MITRE ATLAS AML.T0055",
            "CWE-345",
            "CWE-1357",
        ),
    ),
    Control(
        id="dependencies",
        group="runtime",
        title="Dependencies",
        question="Are the packages, channels, base images, the notebooks' installs, the loader "
        "and the serving engine sound?",
        evidence="Resolved versions, advisories on vulnerable and on malicious packages, open "
        "ranges, the order of indexes, names close to known ones, start-up hooks in packages, "
        "the age of releases, digests of images.",
        passes="Everything is resolved and hashed, nothing is malicious, and no critical "
        "advisory is in reach.",
        fails="A package is malicious, the loader or the engine has a critical hole that can be "
        "used, or the order of indexes can be abused.",
        warns="Something is open that an attacker cannot use by itself. What cannot be resolved "
        "leaves the answer unknown.",
        on_fail=OnFail.BLOCK,
        gap_incompletes=True,
        frameworks=(
            "OWASP LLM03:2025 risk 1",
            "MITRE ATLAS AML.T0010.001",
            "MITRE ATLAS AML.T0010.004",
            "MITRE ATLAS AML.T0011.001",
            "MITRE ATLAS AML.T0060",
            "CWE-829",
            "CWE-1357",
            "CWE-1395",
        ),
    ),
    Control(
        id="isolation",
        group="runtime",
        title="Isolation",
        question="Is the place it will run isolated, and its egress controlled?",
        evidence="Deployment manifests, image recipes and engine options: user, capabilities, "
        "mounts, secrets, network policy, the address it listens on, authentication, offline and "
        "remote-code options.",
        passes="Egress is denied by default, it does not run as root, the model cannot be "
        "written and callers must authenticate.",
        fails="The engine or its jobs interface is public without authentication, it is "
        "privileged or sees the host's files, or egress is open beside secrets.",
        warns="Some of these protections are missing. Without manifests the answer is unknown.",
        on_fail=OnFail.REVIEW,
        gap_incompletes=True,
        frameworks=(
            "OWASP LLM03:2025 risk 8",
            "OWASP AISVS 4.1.1",
            "CWE-250",
            "CWE-306",
        ),
    ),
    Control(
        id="monitoring",
        group="runtime",
        title="Monitoring",
        question="Is it watched at run time, and audited again after each update of its base?",
        evidence="A monitor of files, processes and network while it loads, alert rules, a "
        "digest checked on load, the age of the audit against what is installed.",
        passes="It is configured, and the digest that is deployed is the one that was audited.",
        fails="The digest that is deployed is not the one that was audited.",
        warns="Whether it is watched cannot be seen.",
        on_fail=OnFail.REVIEW,
        gap_incompletes=False,
        frameworks=(
            "OWASP LLM03:2025 risk 3",
            "OWASP AISVS 3.1.2",
            "OWASP AISVS 3.1.3",
            "CWE-778",
        ),
    ),
)

BY_ID: Final = {control.id: control for control in CONTROLS}
