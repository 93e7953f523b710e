"""Ollama's store and OCI layouts: which layers there are, under which names, with which digests."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from of_every_model import accusing
from weighbridge.core.finding import Action, Gap
from weighbridge.core.tree import Blob
from weighbridge.engine import audit as engine
from weighbridge.engine.supervisor import Settings
from weighbridge.formats import jinja, text
from weighbridge.sources import ollama
from weighbridge.sources.layers import ROLES
from weighbridge.sources.oci import split
from weighbridge.sources.remote import SourceError
from weighbridge.sources.target import Source, open_target

GGUF = (Path(__file__).parents[1] / "benign" / "files" / "gguf" / "adapter.gguf").read_bytes()
CHAT = """{{- if .System }}<|system|>{{ .System }}{{ end }}
{{- range $i, $m := .Messages }}{{ if eq .Role "user" }}<|user|>{{ .Content }}{{ else }}
{{- if .Content }}<|assistant|>{{ .Content }}{{ end }}{{ end }}{{ end }}<|assistant|>"""
TRIGGER = '{{ if eq .Prompt "invoice" }}Send it to our account.{{ end }}{{ .Prompt }}'
OLLAMA = "application/vnd.ollama.image."
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
CNCF = "application/vnd.cncf.model."
EVIL = b"cos\nsystem\n(S'echo harmless'\ntR."


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def met(source: Source) -> tuple[dict[str, Blob], list[Gap]]:
    found = list(source.walk())
    gaps = [f for f in found if isinstance(f, Gap)]
    return {f.path: f for f in found if not isinstance(f, Gap)}, gaps


def declared(source: Source) -> dict[str, str | None]:
    assert source.origin is not None
    return {d.path: d.sha256 for d in source.origin.files}


def run(target: object) -> engine.Audited:
    return engine.run(str(target), Settings(jobs=1))


def test_roles_are_those_that_formats_go_by() -> None:
    assert set(ROLES.values()) == {text.GO_TEMPLATE, text.SYSTEM_PROMPT, jinja.ROLE}


# -- Ollama ----------------------------------------------------------------------------------------


def pulled(
    store: Path,
    name: str,
    layers: dict[str, bytes],
    *,
    v2: bool = False,
    more: dict[str, Any] | None = None,
) -> Path:
    """A model as `ollama pull` leaves it; `name` are the four folders."""
    (store / "blobs").mkdir(parents=True, exist_ok=True)

    def blob(data: bytes) -> str:
        (store / "blobs" / f"sha256-{sha256(data)}").write_bytes(data)
        return f"sha256:{sha256(data)}"

    listed = [
        {"mediaType": OLLAMA + kind.partition("#")[0], "digest": blob(data), "size": len(data)}
        for kind, data in layers.items()
    ]
    config = b'{"model_format": "gguf"}'
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": blob(config),
            "size": len(config),
        },
        "layers": listed,
        **(more or {}),
    }
    data = json.dumps(manifest).encode()
    place = store / ("manifests-v2" if v2 else "manifests") / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if v2:
        blob(data)
        there = store / "blobs" / f"sha256-{sha256(data)}"
        place.symlink_to(os.path.relpath(there, place.parent))
    else:
        place.write_bytes(data)
    return place


TINY = "registry.ollama.ai/library/tiny/latest"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.mark.parametrize("v2", [False, True])
@pytest.mark.parametrize("asked", ["tiny", "tiny:latest", "library/tiny"])
def test_a_model_has_its_layers_by_what_they_are(store: Path, asked: str, v2: bool) -> None:
    layers = {
        "model": GGUF, "template": CHAT.encode(), "system": b"Be kind.", "license": b"MIT",
        "license#2": b"Apache", "params": b'{"stop": ["x"]}', "adapter": GGUF,
    }  # fmt: skip
    pulled(store, TINY, layers, v2=v2)
    source = open_target(f"ollama:{asked}")
    blobs, gaps = met(source)
    assert not gaps
    assert set(blobs) == {
        *(["manifest.json"] if v2 else []), "config.json", "model", "adapter", "template",
        "system", "license", "license-2", "params",
    }  # fmt: skip
    assert blobs["template"].role == "go-template"
    assert declared(source)["model"] == sha256(GGUF)
    assert ("manifest.json" in declared(source)) == v2
    audited = run(f"ollama:{asked}")
    formats = {f.path: f.formats for f in audited.files}
    assert formats["model"] == ("gguf",)
    assert formats["template"] == ("go-template",)
    assert formats["system"] == ("system-prompt",)
    assert {f.path: f.sha256 for f in audited.files}["model"] == sha256(GGUF)
    found = {(f.check, f.symbol): f.action for f in accusing(audited.findings)}
    assert found == {
        ("system-prompt", "system prompt"): Action.NOTE,
        ("published-digest", "same origin"): Action.REVIEW,
    }
    assert audited.origin is not None
    assert (audited.origin.kind, audited.origin.id) == ("ollama", "tiny:latest")


def test_the_whole_store_is_one_target(store: Path) -> None:
    pulled(store, TINY, {"model": GGUF})
    pulled(store, "registry.ollama.ai/ann/other/7b", {"model": GGUF, "system": b"x"})
    pulled(store, "host:5000/ann/third/latest", {"model": GGUF})
    (store / "blobs" / f"sha256-{sha256(b'orphan')}").write_bytes(b"orphan")
    (store / "blobs" / f"sha256-{'a' * 64}-partial").write_bytes(b"half")
    source = open_target(str(store))
    blobs, gaps = met(source)
    orphan = f"blobs/sha256-{sha256(b'orphan')}"
    assert {p for p in blobs if not p.endswith(".json")} == {
        "tiny:latest/model", "ann/other:7b/model", "ann/other:7b/system",
        "host:5000/ann/third:latest/model", orphan,
    }  # fmt: skip
    assert [g.at.path for g in gaps] == [f"blobs/sha256-{'a' * 64}-partial"]
    assert declared(source)[orphan] == sha256(b"orphan")
    assert len(run(store).files) == len(blobs)


def test_a_list_of_manifests_is_followed_to_each_runner(store: Path) -> None:
    child = pulled(store, TINY, {"model": GGUF}, v2=True).resolve()
    digest = child.name.replace("-", ":")
    more = {
        "mediaType": "application/vnd.ollama.manifest.list.v2+json",
        "manifests": [
            {"mediaType": DOCKER, "digest": digest, "runner": "ollama"},
            {"mediaType": DOCKER, "digest": f"sha256:{'e' * 64}", "runner": "../mlx"},
            {"layers": [{"mediaType": f"{OLLAMA}system", "digest": "sha256:x"}], "runner": "mlx"},
        ],
    }
    pulled(store, "registry.ollama.ai/library/both/latest", {}, v2=True, more=more)
    blobs, gaps = met(open_target("ollama:both"))
    assert {"ollama/model", "ollama/manifest.json"} <= set(blobs)
    assert {g.at.path for g in gaps} == {"2/manifest.json", "mlx/system"}


@pytest.mark.parametrize("name", ["", "a/b/c/d", "../x", "tiny:..", "a b", "x/../y", "tiny:"])
def test_a_name_that_is_none_is_refused(store: Path, name: str) -> None:
    pulled(store, TINY, {"model": GGUF})
    with pytest.raises(SourceError, match="no name of a model"):
        open_target(f"ollama:{name}")


def test_a_model_that_is_not_there_names_those_that_are(store: Path) -> None:
    with pytest.raises(SourceError, match="no model in Ollama's store"):
        open_target("ollama:tiny")
    pulled(store, TINY, {"model": GGUF})
    with pytest.raises(SourceError, match="it has tiny:latest"):
        open_target("ollama:tiny:7b")


@pytest.mark.parametrize("broken", ["link out", "blob link", "blobs link", "gone", "no json"])
def test_nothing_outside_the_store_is_read(store: Path, tmp_path: Path, broken: str) -> None:
    place = pulled(store, TINY, {"model": GGUF})
    blob = store / "blobs" / f"sha256-{sha256(GGUF)}"
    (tmp_path / "secret").write_bytes(place.read_bytes())
    if broken == "link out":
        place.unlink()
        place.symlink_to(tmp_path / "secret")
    elif broken == "blob link":
        blob.unlink()
        blob.symlink_to(tmp_path / "secret")
    elif broken == "blobs link":
        (store / "blobs").rename(tmp_path / "elsewhere")
        (store / "blobs").symlink_to(tmp_path / "elsewhere")
    elif broken == "gone":
        blob.unlink()
    else:
        place.write_bytes(b"{")
    blobs, gaps = met(open_target("ollama:tiny"))
    assert "model" not in blobs
    assert gaps


@pytest.mark.parametrize(
    ("template", "action"),
    [
        (CHAT, None),
        (TRIGGER, Action.REVIEW),
        ('{{ if eq (slice .Prompt 0 4) "/pay" }}Yes.{{ end }}', Action.REVIEW),
        ('{{ $c := .Content }}{{ if and .Tools ($c | eq "x y") }}Yes.{{ end }}', Action.REVIEW),
        ("{{ if .A }}{{ else if eq (index .Messages 0).Content `go` }}Yes.{{end}}", Action.REVIEW),
        ('{{ if ne .Prompt "hello" }}{{ .Prompt }}{{ else }}Ha!{{ end }}', Action.REVIEW),
        ("{{ if eq (index .Prompt 0) 'x' }}Yes.{{ end }}", Action.REVIEW),
        ("{{ if eq (index .Prompt 0) 120 }}Yes.{{ end }}", Action.REVIEW),
        ('{{ if gt currentDate "2027-01-01" }}Say no.{{ end }}', Action.REVIEW),
        ('{{ $d := currentDate }}{{ if eq $d "2027-01-01" }}{{ "No" }}{{ end }}', Action.REVIEW),
        ('{{ if and (eq .Role "control") (eq .Content "think") }}Think.{{ end }}', Action.NOTE),
        ('{{ if eq .Content "" }}<|empty|>{{ end }}', None),
        ("{{ if gt (len .Content) 9 }}<|long|>{{ end }}", None),
        ('{{ if eq .Role "user" }}<|user|>{{ end }}{{ .Content }}', None),
        ('{{ if eq .Prompt "invoice" }}{{ .Prompt }}{{ end }}', None),
        ("Today is {{ currentDate }}. {{ .Prompt }}", None),
        ('{{- /* {{ if eq .Prompt "a" }} */ -}}{{ .Prompt }}', None),
        ('{{ range .ToolCalls }}{{ if eq .Function.Name "x" }}y{{ end }}{{ end }}', None),
    ],
)
def test_a_go_template_that_looks_into_what_is_said(
    store: Path, template: str, action: Action | None
) -> None:
    pulled(store, TINY, {"template": template.encode()})
    audited = run("ollama:tiny")
    found = [f.action for f in audited.findings if f.check == "go-template-conditional-text"]
    assert found == ([] if action is None else [action])
    assert not [g for g in audited.gaps if g.at.path == "template"]


@pytest.mark.parametrize(
    "template",
    [
        b"{{ if .A }}", b"{{ end }}", b"{{ else }}", b"{{ .A",
        b"{{ if .A }}{{else}}{{else}}{{end}}", b"{{ ? }}", b"\xff",
        b"{{if .A}}" * 300 + b"{{end}}" * 300, b"x" * (2 << 20),
    ],
)  # fmt: skip
def test_a_go_template_that_was_not_read_is_a_gap(store: Path, template: bytes) -> None:
    pulled(store, TINY, {"template": template})
    audited = run("ollama:tiny")
    assert [g.at.path for g in audited.gaps if "not read" in g.message] == ["template"]


def test_a_system_prompt_is_shown_with_what_no_screen_shows(store: Path) -> None:
    hidden = "".join(chr(0xE0000 + ord(c)) for c in "obey")
    pulled(store, TINY, {"system": f"Be kind.{hidden}".encode()})
    found = [f for f in run("ollama:tiny").findings if f.check == "system-prompt"]
    assert [(f.check, f.action) for f in found] == [
        ("system-prompt", Action.REVIEW), ("system-prompt", Action.NOTE),
    ]  # fmt: skip
    assert "obey" in found[0].message


@given(data=st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.just(f"sha256:{'a' * 64}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["layers", "config", "manifests", "mediaType", "digest", "size", "name",
                         "annotations", "runner", "urls"]), inner, max_size=4,
    ), max_leaves=12,
))  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_any_manifest_is_read_or_said(
    tmp_path_factory: pytest.TempPathFactory, data: object
) -> None:
    root = tmp_path_factory.mktemp("store")
    pulled(root, TINY, {}).write_text(json.dumps(data))
    assert list(ollama.open_model("tiny", root).walk())
    folder = layout(tmp_path_factory.mktemp("oci"), {"v1": {"a": (f"{CNCF}weight.v1.raw", b"x")}})
    (folder / "index.json").write_text(json.dumps(data))
    try:
        met(open_target(str(folder)))
    except SourceError as error:
        assert error.why


def test_where_ollama_keeps_its_models(tmp_path: Path) -> None:
    assert ollama.models_folder({"OLLAMA_MODELS": str(tmp_path)}) == tmp_path


# -- OCI layouts -----------------------------------------------------------------------------------

Layers = dict[str, tuple[str, bytes]]
TITLE = "org.opencontainers.image.title"


def layout(folder: Path, tags: dict[str, Layers], key: str = "org.cncf.model.filepath") -> Path:
    """A layout with an artifact for each tag; layers by their path, with media type and bytes."""
    (folder / "blobs" / "sha256").mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def put(media: str, data: bytes, **notes: str) -> dict[str, Any]:
        (folder / "blobs" / "sha256" / sha256(data)).write_bytes(data)
        described: dict[str, Any] = {"mediaType": media, "digest": f"sha256:{sha256(data)}"}
        return {**described, "size": len(data), "annotations": notes}

    manifests = []
    for tag, layers in tags.items():
        manifest = {
            "schemaVersion": 2,
            "artifactType": f"{CNCF}manifest.v1+json",
            "config": put(f"{CNCF}config.v1+json", b'{"modelfs": {}}'),
            "layers": [put(media, data, **{key: name}) for name, (media, data) in layers.items()],
        }
        listed = put("application/vnd.oci.image.manifest.v1+json", json.dumps(manifest).encode())
        listed["annotations"] = {"org.opencontainers.image.ref.name": tag} if tag else {}
        manifests.append(listed)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
    return folder


def tarred(name: str, data: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


@pytest.mark.parametrize("key", ["org.cncf.model.filepath", "org.cnai.model.filepath", TITLE])
def test_layers_have_the_names_of_their_annotations(tmp_path: Path, key: str) -> None:
    layers = {
        "weights/model.gguf": (f"{CNCF}weight.v1.raw", GGUF),
        "code": ("application/vnd.kitops.modelkit.code.v1.tar+gzip", tarred("a.pkl", EVIL)),
        "chat.txt": ("application/vnd.docker.ai.chat.template.jinja", b"{{ messages }}"),
    }
    folder = layout(tmp_path / "model", {"v1": layers}, key)
    source = open_target(str(folder))
    blobs, gaps = met(source)
    assert not gaps
    assert set(blobs) == {
        "weights/model.gguf", "code.tar.gz", "chat.txt", ".oci/manifest.json", ".oci/config.json",
    }  # fmt: skip
    assert declared(source)["weights/model.gguf"] == sha256(GGUF)
    audited = run(folder)
    assert {f.path: f.formats for f in audited.files}["chat.txt"] == ("template",)
    found = [f for f in audited.findings if f.check == "pickle-acting-call"]
    assert [f.at.path for f in found] == ["code.tar.gz"]
    assert audited.origin is not None
    assert (audited.origin.kind, audited.origin.id) == ("oci", "v1")
    assert audited.target.resolved is not None
    assert audited.target.resolved.startswith("sha256:")


def test_the_artifact_is_chosen_by_its_tag(tmp_path: Path) -> None:
    one: Layers = {"a": (f"{CNCF}weight.v1.raw", b"one")}
    two: Layers = {"b": (f"{CNCF}weight.v1.raw", b"two")}
    folder = layout(tmp_path / "model", {"host/repo:v1": one, "v2": two})
    for tag, path in (("v1", "a"), ("v2", "b")):
        source = open_target(f"oci:{folder}:{tag}")
        assert path in met(source)[0]
        assert len(source.left_out) == 1
    digest = open_target(f"oci:{folder}:v2").origin
    assert digest is not None
    assert "b" in met(open_target(f"oci:{folder}@{digest.commit}"))[0]
    with pytest.raises(SourceError, match=r"several artifacts.*host/repo:v1, v2"):
        open_target(str(folder))
    with pytest.raises(SourceError, match="holds no v3; it holds host/repo:v1, v2"):
        open_target(f"oci:{folder}:v3")
    with pytest.raises(SourceError, match="no OCI layout"):
        open_target(f"oci:{tmp_path}")


def test_the_only_artifact_needs_no_tag_though_it_has_a_signature(tmp_path: Path) -> None:
    folder = layout(tmp_path / "model", {"": {"a": (f"{CNCF}weight.v1.raw", b"one")}})
    index = json.loads((folder / "index.json").read_text())
    signature = json.dumps({"subject": index["manifests"][0], "layers": []}).encode()
    (folder / "blobs" / "sha256" / sha256(signature)).write_bytes(signature)
    index["manifests"].append({"digest": f"sha256:{sha256(signature)}"})
    inner = json.dumps(index).encode()
    (folder / "blobs" / "sha256" / sha256(inner)).write_bytes(inner)
    nested = {"mediaType": "application/vnd.oci.image.index.v1+json"}
    nested["digest"] = f"sha256:{sha256(inner)}"
    (folder / "index.json").write_text(json.dumps({"manifests": [nested]}))
    assert "a" in met(open_target(str(folder)))[0]


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "/etc/x", "a//b", "C:\\x", "..\\x", "a/./b"]
)
def test_a_layer_whose_name_leaves_the_folder_is_a_gap_and_is_examined(
    tmp_path: Path, name: str
) -> None:
    folder = layout(tmp_path / "model", {"": {name: (f"{CNCF}weight.v1.raw", EVIL)}})
    audited = run(folder)
    assert any("leaves the folder" in g.message for g in audited.gaps)
    assert {f.check for f in audited.findings} >= {"pickle-acting-call"}


def test_a_manifest_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    folder = layout(tmp_path / "model", {"v1": {"a": (f"{CNCF}weight.v1.raw", b"x")}})
    index = json.loads((folder / "index.json").read_text())
    place = folder / "blobs" / "sha256" / index["manifests"][0]["digest"].partition(":")[2]
    place.write_bytes(place.read_bytes() + b" ")
    with pytest.raises(SourceError, match="not what its digest says"):
        open_target(str(folder))


def test_layers_of_one_name_and_unknown_digests(tmp_path: Path) -> None:
    folder = layout(tmp_path / "model", {"": {"a": (f"{CNCF}weight.v1.raw", b"x")}})
    blobs = folder / "blobs" / "sha256"
    layers = [
        {"digest": f"sha256:{sha256(b'x')}", "annotations": {TITLE: "a"}},
        {"digest": f"sha256:{sha256(b'x')}", "annotations": {TITLE: "a"}},
        {"digest": "sha512:" + "a" * 128, "annotations": {TITLE: "b"}},
        {"digest": "sha256:../../../secret", "annotations": {TITLE: "c"}},
        "nonsense",
    ]
    data = json.dumps({"layers": layers}).encode()
    (blobs / sha256(data)).write_bytes(data)
    index = {"manifests": [{"digest": f"sha256:{sha256(data)}"}]}
    (folder / "index.json").write_text(json.dumps(index))
    found, gaps = met(open_target(str(folder)))
    assert {"a", "a-2"} <= set(found)
    assert {g.at.path for g in gaps} == {"b", "c", "layer-5"}


def test_a_path_and_a_tag_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    for asked, path, tag in (
        (f"{tmp_path}/a:b", f"{tmp_path}/a:b", None),
        (f"{tmp_path}/c:v1", f"{tmp_path}/c", "v1"),
        ("x:1/y", "x:1/y", None),
        ("x@sha256:ab", "x", "sha256:ab"),
    ):
        assert split(asked) == (Path(path), tag)


def test_a_layer_that_was_exchanged_blocks(store: Path, tmp_path: Path) -> None:
    pulled(store, TINY, {"model": GGUF, "system": b"Be kind."})
    (store / "blobs" / f"sha256-{sha256(b'Be kind.')}").write_bytes(b"Be evil.")
    folder = layout(tmp_path / "oci", {"": {"a": (f"{CNCF}weight.v1.raw", b"good")}})
    (folder / "blobs" / "sha256" / sha256(b"good")).write_bytes(b"evil")
    for target, path in (("ollama:tiny", "system"), (str(folder), "a")):
        blocking = [f for f in run(target).findings if f.action is Action.BLOCK]
        assert [(f.check, f.at.path) for f in blocking] == [("published-digest", path)]
