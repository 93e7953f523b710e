"""What an examiner would try: implants that nothing here was made with."""

from __future__ import annotations

import pytest

from graph_implants import Predicate
from graph_unseen_implants import UNSEEN_IMAGES, UNSEEN_PAYLOADS, UNSEEN_TOKENS
from trying import implanted, overridden

IMAGES = ("resnet-script", "vit-script", "mobilenet_v2-script")
TOKENS = ("bert-script", "llama-script", "gpt2-script")
CASES = [
    (hosts[(number + turn) % 3], name, list(UNSEEN_PAYLOADS)[(number + 2 * turn) % 4])
    for hosts, predicates in ((IMAGES, UNSEEN_IMAGES), (TOKENS, UNSEEN_TOKENS))
    for number, name in enumerate(predicates)
    for turn in (0, 1)
]
EVERY: dict[str, Predicate] = {**UNSEEN_IMAGES, **UNSEEN_TOKENS}


@pytest.mark.parametrize(("host", "predicate", "payload"), CASES)
def test_a_trigger_is_found(host: str, predicate: str, payload: str) -> None:
    assert overridden(implanted(host, EVERY[predicate], UNSEEN_PAYLOADS[payload]))
