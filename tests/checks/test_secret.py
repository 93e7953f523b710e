"""Secrets: what has the structure of one is reviewed and never shown; look-alikes are left alone.

Every secret here is made by code for the test and opens nothing.
"""

from __future__ import annotations

import base64
import json
import random
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.analysis.secrets import CHUNK, OVERLAP, secrets
from weighbridge.core.finding import Action
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def chance(length: int, seed: int = 1, alphabet: str = BASE62) -> str:
    return "".join(random.Random(seed).choices(alphabet, k=length))


def checked(prefix: str) -> str:
    body = chance(30)
    value, digits = zlib.crc32(body.encode()), ""
    while value:
        value, digit = divmod(value, 62)
        digits = BASE62[digit] + digits
    return prefix + body + digits.rjust(6, "0")


def pem(label: str, der: bytes, width: int = 64) -> str:
    text = base64.b64encode(der).decode()
    lines = [text[i : i + width] for i in range(0, len(text), width)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


DER = b"\x30\x82\x02\x00" + random.Random(3).randbytes(512)
SSH = b"openssh-key-v1\0" + random.Random(4).randbytes(300)
HUB = "hf_" + chance(34, 5, string.ascii_letters)

ATTACKS = {
    "Hugging Face": (HUB, "Hugging Face token"),
    "GitHub": (checked("ghp_"), "GitHub token"),
    "GitHub app": (checked("ghs_"), "GitHub token"),
    "npm": (checked("npm_"), "npm token"),
    "AWS": (
        f"aws_access_key_id = AKIA{chance(16, 6, string.ascii_uppercase + '234567')}\n"
        f"aws_secret_access_key = {chance(40, 7, BASE62 + '+/')}\n",
        "AWS access key",
    ),
    "AWS in an environment": (
        f"AWS_ACCESS_KEY_ID=AKIA{chance(16, 6, string.ascii_uppercase + '234567')}\n"
        f"AWS_SECRET_ACCESS_KEY={chance(40, 7, BASE62 + '+/')}\n",
        "AWS access key",
    ),
    "Google": ("AIza" + chance(35, 8), "Google API key"),
    "Slack": (f"xoxb-{'8361920475'}-{'6502938471'}-{chance(24, 9)}", "Slack token"),
    "OpenAI": ("sk-" + chance(20, 10) + "T3BlbkFJ" + chance(20, 11), "OpenAI key"),
    "OpenAI project": ("sk-proj-" + chance(74, 10) + "T3BlbkFJ" + chance(74, 11), "OpenAI key"),
    "Anthropic": ("sk-ant-api03-" + chance(93, 12) + "AA", "Anthropic key"),
    "RSA": (pem("RSA PRIVATE KEY", DER), "private key"),
    "PKCS 8": (pem("PRIVATE KEY", DER), "private key"),
    "OpenSSH": (pem("OPENSSH PRIVATE KEY", SSH, 70), "private key"),
    "Azure client": (f"aB3{'8'}Q~{chance(34, 21, BASE62 + '_.~-')}", "Azure client secret"),
    "Google service account": (
        json.dumps(
            {
                "type": "service_account",
                "project_id": "p",
                "private_key_id": "0a" * 20,
                "private_key": pem("PRIVATE KEY", DER),
                "client_email": "a@p.example",
            }
        ),
        "private key",
    ),
    "in JSON": (json.dumps({"private_key": pem("PRIVATE KEY", DER)}), "private key"),
    "under a passphrase": (
        pem("RSA PRIVATE KEY", DER).replace(
            "KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00AA\n\n", 1
        ),
        "private key",
    ),
}


@pytest.mark.parametrize("case", ATTACKS)
@pytest.mark.parametrize("around", ["{}", 'token = "{}"  # here\n', "a: {}\nb: 1\n"])
def test_secrets(case: str, around: str) -> None:
    text, kind = ATTACKS[case]
    data = around.replace("{}", text).encode()
    examined = examine(Held("notes", data), load(), Limits())
    found = [f for f in examined.findings if f.check == "secret"]
    assert [(f.symbol.rpartition(" ")[0], f.action) for f in found] == [(kind, Action.REVIEW)]
    shown = repr(found)
    for word in text.split():
        assert len(word) < 20 or word not in shown


BENIGN = {
    "wrong checksum": "ghp_" + chance(36),
    "too short": "hf_" + chance(33, 5),
    "longer word": "x" + HUB,
    "identifier": "hf_" + "convertLlamaWeightsToSafetensorsNow"[:34],
    "placeholder": "hf_" + "x" * 34,
    "manual": "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "id alone": "AKIA" + chance(16, 6, string.ascii_uppercase + "234567"),
    "id and a digest": f"AKIA{chance(16, 6, 'ABCDEFG234567XYZ')} {'0af3' * 10}",
    "key in a manual": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n...\n"
    "-----END PRIVATE KEY-----",
    "key that does not decode": pem("PRIVATE KEY", random.Random(5).randbytes(300)),
    "public key": pem("PUBLIC KEY", DER),
    "certificate": pem("CERTIFICATE", DER),
    "sha256": "sha256:" + "9f86d081884c7d65" * 4,
    "prose": "Set HF_TOKEN to hf_... and OPENAI_API_KEY to sk-proj-...",
}


@pytest.mark.parametrize("case", BENIGN)
def test_look_alikes(case: str) -> None:
    assert list(secrets(Held("x", BENIGN[case].encode()))) == []


def test_vocabularies_hold_no_secret() -> None:
    rng = random.Random(6)
    words = {"".join(rng.choices(BASE62 + "_-", k=rng.randint(2, 60))): i for i in range(30_000)}
    assert list(secrets(Held("x", json.dumps(words).encode()))) == []


@pytest.mark.parametrize("start", [0, 9, CHUNK - 7, CHUNK, 3 * CHUNK - OVERLAP])
def test_a_secret_across_chunks_is_found_once(start: int) -> None:
    lines = b"words\n" * (start // 6)
    data = lines + b" " * (start - len(lines)) + HUB.encode() + b"\n" * OVERLAP * 2
    (found,) = secrets(Held("x", data))
    assert (found.offset, found.line) == (start, start // 6 + 1)


def test_utf_16() -> None:
    (found,) = secrets(Held("x", f"\n{HUB}\n".encode("utf-16")))
    assert found.line == 2


def test_hostile_text_takes_little_time() -> None:
    for piece in (b"-----BEGIN PRIVATE KEY-----", b"AKIA" + b"A" * 16 + b" ", b"sk-proj-T3BlbkFJ",
                  b"-----BEGIN PRIVATE KEY-----" + b"A" * 15_000):  # fmt: skip
        assert len(list(secrets(Held("x", piece * (CHUNK // len(piece)))))) <= 100


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    data = f"hf_{text}ghp_{text}-----BEGIN PRIVATE KEY-----{text}-----END PRIVATE KEY-----"
    for found in secrets(Held("x", data.encode())):
        assert found.line >= 1
