"""Files that some program obeys without being asked, and git's settings that name commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from weighbridge.core.finding import Action
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.audit import run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

LFS_HOOK = (
    '#!/bin/sh\ncommand -v git-lfs >/dev/null 2>&1 || { echo >&2 "\\nThis repository is configured '
    "for Git LFS but 'git-lfs' was not found on your path.\\n\"; exit 2; }\n"
    'git lfs pre-push "$@"\n'
)
SETUPTOOLS = (
    "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == "
    "'local'; enabled and __import__('_distutils_hack').add_shim(); \n"
)
TASK = '{\n // on opening\n "tasks": [{"command": "true", "runOptions": {"runOn": "%s"}}]\n}'


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.pth", "import os;exec('1')\n", [Action.BLOCK]),
        ("a.pth", "lib\nimport\tsubprocess, sys; subprocess.Popen(['true'])\n", [Action.BLOCK]),
        ("a.pth", "import base64; (lambda: eval('1'))()\n", [Action.BLOCK]),
        ("a.pth", SETUPTOOLS, [Action.REVIEW]),
        ("a.pth", "import __editable___x_finder; __editable___x_finder.install()\n",
         [Action.REVIEW]),
        ("a.pth", "/srv/lib\n../src\n", []),
        ("notes.txt", "import os; exec('1')\n", []),
        ("sitecustomize.py", "import os\n", [Action.REVIEW]),
        ("lib/usercustomize.py", "import os\n", [Action.REVIEW]),
        ("my_sitecustomize.py", "import os\n", []),
        (".git/hooks/post-checkout", "#!/bin/sh\ntrue\n", [Action.REVIEW]),
        (".husky/pre-commit", "true\n", [Action.REVIEW]),
        (".git/hooks/pre-push", LFS_HOOK, []),
        (".git/hooks/pre-push", LFS_HOOK + "true\n", [Action.REVIEW]),
        (".envrc", "export A=1\n", [Action.REVIEW]),
        (".vscode/tasks.json", TASK % "folderOpen", [Action.REVIEW]),
        (".vscode/tasks.json", TASK % "default", []),
        ("tasks.json", TASK % "folderOpen", []),
        (".devcontainer/devcontainer.json", '{"initializeCommand": "true"}', [Action.REVIEW]),
        (".devcontainer/devcontainer.json", '{"image": "x"}', []),
        (".mcp.json", '{"mcpServers": {"x": {"command": "true"}}}', [Action.REVIEW]),
        ("config.json", '{"command": "true"}', []),
    ],
)  # fmt: skip
def test_files(path: str, text: str, expected: list[Action]) -> None:
    examined = examine(Held(path, text.encode()), load(), Limits())
    assert [f.action for f in examined.findings if f.check == "runs-by-itself"] == expected


CORE = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n"


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        (CORE + "\tfsmonitor = touch /tmp/x\n", ["core.fsmonitor"]),
        (CORE + "\tfsMonitor = \"sh -c 'true'\" ; words\n", ["core.fsmonitor"]),
        (CORE + "\tsshCommand = true\\\n -x\n", ["core.sshcommand"]),
        (CORE + "\thooksPath = ../hooks\n", ["core.hookspath"]),
        (CORE + "[alias]\n\ta = !true\n\tb = status\n", ["alias.a"]),
        (CORE + '[filter "x"]\n\tsmudge = true %f\n', ["filter.x.smudge"]),
        (CORE + "[include]\n\tpath = ../more\n", ["include.path"]),
        (CORE + '[submodule "a"]\n\tupdate = !true\n', ["submodule.a.update"]),
        (CORE + "[core] sshcommand = true; x\n", []),
        (CORE + "[core] sshcommand = ssh-as me\n", ["core.sshcommand"]),
        (CORE + "\tfsmonitor = true\n\tpager = less -R\n", []),
        (CORE + '[filter "lfs"]\n\tsmudge = git-lfs smudge -- %f\n\trequired = true\n', []),
        (CORE + '[remote "origin"]\n\turl = https://huggingface.co/a/b\n', []),
        (CORE + "[credential]\n\thelper = store\n", []),
        (CORE + "[user]\n\tname = A\n\temail = a@example.org\n", []),
        ("[core]\nwords of an INI file\n", []),
    ],
)
def test_git_settings(text: str, symbols: list[str]) -> None:
    examined = examine(Held("config", text.encode()), load(), Limits())
    assert [f.symbol for f in examined.findings] == symbols


def test_a_folder_with_its_repository(tmp_path: Path) -> None:
    for path, text in {
        "model.txt": "x",
        ".git/config": CORE + "\tfsmonitor = ./x\n",
        ".git/hooks/post-merge": "#!/bin/sh\ntrue\n",
        ".git/hooks/pre-push.sample": "#!/bin/sh\ntrue\n",
        ".git/hooks/pre-push": LFS_HOOK,
        ".git/HEAD": "ref: refs/heads/main\n",
        ".git/objects/aa/bb": "x",
        ".git/modules/a/b/config": CORE,
        ".git/modules/a/b/objects/cc/dd": "x",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    audited = run(tmp_path)
    assert [f.path for f in audited.files] == [
        ".git/config", ".git/hooks/post-merge", ".git/hooks/pre-push", ".git/modules/a/b/config",
        "model.txt",
    ]  # fmt: skip
    assert {f.check: f.at.path for f in audited.findings} == {
        "git-config": ".git/config", "runs-by-itself": ".git/hooks/post-merge",
    }  # fmt: skip
    assert [e.path for e in audited.coverage.left_out] == [".git"]
