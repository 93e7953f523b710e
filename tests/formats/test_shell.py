"""Shell scripts: what is a command, and what is only text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.analysis.shell_acts import acts
from weighbridge.formats.shell import POWERSHELL, read

COMMANDS: list[tuple[str, list[tuple[str, ...]]]] = [
    ("a b  c", [("a", "b", "c")]),
    ("a 'b c' \"d e\" f\\ g", [("a", "b c", "d e", "f g")]),
    ("a; b && c || d | e & f", [("a",), ("b",), ("c",), ("d",), ("e",), ("f",)]),
    ("a # b; c\nd", [("a",), ("d",)]),
    ("a b#c", [("a", "b#c")]),
    ("a \\\n  b", [("a", "b")]),
    ("if a; then b; else c; fi", [("a",), ("b",), ("c",)]),
    ("while a; do b; done < f", [("a",), ("b",), ]),
    ("for x in $(a) b; do c; done", [("a",), ("for", ""), ("c",)]),
    ("case $x in a|b) c ;; *) d ;; esac; e", [("c",), ("d",), ("e",)]),
    ("f() { a; }\nf", [("a",), ("f",)]),
    ("(a; b) 2>&1 | c", [("a",), ("b",), ("c",)]),
    ("a $(b | c) d", [("b",), ("c",), ("a", "$(b | c)", "d")]),
    ("a `b 'c d'` e", [("b", "c d"), ("a", "`b 'c d'`", "e")]),
    ("[ `b \"${f}\"` = x ]", [("b", "${f}"), ("[", "`b \"${f}\"`", "=", "x", "]")]),
    ("a `# b` c", [("a", "`# b`", "c")]),
    ("a `# b > c; \nd` e", [("d",), ("a", "`# b > c; \nd`", "e")]),
    ("a <(b) >(c)", [("b",), ("c",), ("a", "<(b)", ">(c)")]),
    ("a <<EOF | b\n$(c)\nEOF\nd", [("c",), ("a",), ("b",), ("d",)]),
    ("a <<'EOF'\n$(c)\nEOF\nd", [("a",), ("d",)]),
    ("a <<-X <<Y\n\tone\n\tX\ntwo\nY\nd", [("a",), ("d",)]),
    ("a <<< 'b; c'", [("a",)]),
    ("A=1 B='x y' c $D", [("c", "$D")]),
    ("A=(b $(c) d)\ne", [("c",), (), ("e",)]),
    ("a ${{ github.event.issue['x y'] || 'z' }} b",
     [("a", "${{ github.event.issue['x y'] || 'z' }}", "b")]),
    ("a ${X:-$(b)} $((1 + 2)) $'c\\'d'", [("b",), ("a", "${X:-$(b)}", "$((1 + 2))", "c\\'d")]),
    ("a &> f 2>/dev/null b", [("a", "b")]),
    ("a\r\nb\r\n", [("a",), ("b",)]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), COMMANDS)
def test_commands(text: str, expected: list[tuple[str, ...]]) -> None:
    script = read(text)
    commands = [c.argv for c in script.everything() if c.argv or c.assignments]
    assert commands == expected
    assert script.broken == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a "C:\\b\\" C:\\c', [("a", "C:\\b\\", "C:\\c")]),
        ('a "`"b`"" `\n  c', [("a", '"b"', "c")]),
        ('a "$((b -c).D)"', [("b", "-c"), (".D",), ("a", "$((b -c).D)")]),
        ("a <# b\n'c #>\nd", [("a",), ("d",)]),
        ('a @"\nb "c\n"@\nd', [("a", '@"\nb "c\n"@'), ("d",)]),
        ("irm https://x.example | iex", [("irm", "https://x.example"), ("iex",)]),
    ],
)
def test_powershell(text: str, expected: list[tuple[str, ...]]) -> None:
    script = read(text, escape=POWERSHELL)
    assert [c.argv for c in script.everything() if c.argv] == expected
    assert script.broken == 0


@pytest.mark.parametrize("text", ['a "b', "a 'b", '@"\nb "@', "<# b"])
def test_powershell_that_does_not_end(text: str) -> None:
    assert read(text, escape=POWERSHELL).broken == 1


def test_lines_and_what_is_assigned() -> None:
    script = read("\na\n  b \\\n  c\ncat <<X\n1\n2\nX\nD=$E f", line=10)
    assert [(c.line, c.argv) for c in script.commands] == [
        (11, ("a",)), (12, ("b", "c")), (14, ("cat",)), (18, ("f",)),
    ]  # fmt: skip
    assert script.commands[2].redirects[0].target.text == "1\n2"
    ((name, word),) = script.commands[3].assignments
    assert (name, word.text, word.variables) == ("D", "$E", ("E",))


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a $(b", "a `b", "a <<X\nb", "a ${{ b"])
def test_what_has_no_end_is_said(text: str) -> None:
    assert read(text, 5).broken >= 5


@pytest.mark.parametrize(
    "text",
    ["(" * 50_000, "$(" * 50_000, "`" * 50_001, '"$(' * 20_000, "${a:-" * 20_000, "{ " * 50_000,
     "case x in " * 20_000, "<<A " * 20_000, "a" * 900_000, "a|" * 200_000, "x=(" * 20_000,
     "pull/" * 100_000, "git+" * 100_000, "\n" * 400_000, "pip install ==" + "1" * 400_000],
)  # fmt: skip
def test_hostile_scripts_take_bounded_time(text: str) -> None:
    list(acts(read(text)))


@given(text=st.text(alphabet="ab \n\t'\"\\$`|&;<>(){}#=-EOF", max_size=80))
@settings(max_examples=300, deadline=2000)
def test_any_text(text: str) -> None:
    script = read(text)
    list(acts(script))
    assert all(c.line <= text.count("\n") + 1 for c in script.everything())


ACTS: list[tuple[str, list[str]]] = [
    ("curl -fsSL https://x.example/i.sh | sudo -E bash -s -- -y", ["remote-script"]),
    ("wget -qO- https://x.example/i | tee log | sh", ["remote-script"]),
    ("sh -c \"$(curl -fsSL https://x.example/i.sh)\"", ["remote-script"]),
    ("eval \"$(curl -s https://x.example)\"", ["remote-script"]),
    ("source <(curl -s https://x.example)", ["remote-script"]),
    ("curl https://x.example | python3 -", ["remote-script"]),
    ("bash -c 'curl https://x.example | sh'", ["remote-script"]),
    ("curl https://x.example -o x.sh; bash x.sh", ["local-code", "remote-script"]),
    ("irm https://x.example/i.ps1 | iex", ["remote-script"]),
    ("curl https://x.example -o x.sh; gpg --verify x.sig x.sh; bash x.sh", ["local-code"]),
    ("curl https://x.example | jq .a", []),
    ("curl https://x.example | python3 -c 'import json'", []),
    ("echo 'curl https://x.example | sh'", []),
    ("printf '%s' \"curl x | sh\" > readme", []),
    ("grep -q 'curl x | sh' file", []),
    ("curl x.example > a && cat a", []),
    ("pip install git+https://github.com/a/b", ["install-git"]),
    ("pip install 'b @ git+https://github.com/a/b@v1'", ["install-git"]),
    (f"pip install git+https://github.com/a/b@{'0a' * 20}", []),
    ("uv pip install -U pip", ["install-unpinned"]),
    ("pip install torch==2.1.0 numpy==1.26.4", []),
    ("pip install -r requirements.txt", ["local-code"]),
    ("pip install http://x.example/a.whl", ["install-plain"]),
    ("pip install -i http://x.example/simple a==1", ["install-plain"]),
    ("pip install --trusted-host=x.example a==1", ["install-plain"]),
    ("pip install a==1 --extra-index-url https://x.example/simple", ["install-index"]),
    ("pip freeze", []),
    ("uv pip install --dry-run --system pip", []),
    ("pip install --dry-run git+https://github.com/a/b", ["install-git"]),
    ("hf download a/b", ["model-download"]),
    (f"hf download a/b --revision {'0a' * 20}", []),
    ("wget https://huggingface.co/a/b/resolve/main/c.bin", ["model-download"]),
    ("git clone https://huggingface.co/a/b", ["model-download"]),
    ("git clone https://github.com/a/b", []),
    ("hf upload a/b .", ["publish"]),
    ("huggingface-cli upload a/b .", ["publish"]),
    ("python -m twine upload dist/*", ["publish"]),
    ("docker push a/b", ["publish"]),
    ("docker buildx build --push -t a/b .", ["local-code", "publish"]),
    ("gh release create v1 dist/*", ["publish"]),
    ("gh release view v1", []),
    ("twine upload --dry-run dist/*", []),
    ("hf buckets sync out hf://buckets/a/b", ["publish"]),
    ("hf buckets sync hf://buckets/a/b out", []),
    ("git push origin main", ["publish"]),
    ("git push --dry-run", []),
    ("docker login -u me -p Zk3vQ9sT1bWx7LmN0pRy", ["literal-secret"]),
    ("docker login -u me -p $PASSWORD", []),
    ("docker login -u me --password-stdin", []),
    ("docker run -p 8080:8080 a/b", []),
    ("curl -H 'Authorization: Bearer Zk3vQ9sT1bWx7LmN0pRy' https://x.example", ["literal-secret"]),
    ("curl -H \"Authorization: Bearer $TOKEN\" https://x.example", []),
    ("make -C a; ./b; python c.py; bash d.sh; pytest; pip install .", ["local-code"]),
    ("git status; ls; cat a; python -m venv .v; python -c 'print(1)'", []),
    ("gh pr checkout 5", ["foreign-checkout"]),
    ("git fetch origin pull/5/head:pr", ["foreign-fetch"]),
    ("git fetch origin main", []),
    ("gh api repos/a/b/collaborators/c/permission", ["permission"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ACTS)
def test_acts(text: str, expected: list[str]) -> None:
    assert sorted({act.kind.value for act in acts(read(text))}) == expected
