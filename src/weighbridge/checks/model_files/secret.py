"""Check `secret`."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from weighbridge.analysis.secrets import secrets
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.text import Written


@check("secret", control="payload-scan", reads=Written)
def secret(document: Written) -> Iterator[Finding]:
    """A credential was left in a file.

    ## Why it matters
    Whoever can read the model can use the credential: to push a new version of the model under the
    publisher's name, to read private data, to spend somebody's money. It is deployed and logged
    with the rest.

    ## What to do
    Tell the publisher, who has to revoke it; deleting it is not enough, since history and mirrors
    keep it. Deploy the model without the file.

    ## Limits
    Only forms that can be verified count: private keys that decode, tokens with a checksum, a
    marker or an exact structure. Passwords and tokens without a form of their own are not looked
    for, nor anything inside binary formats. Whether a credential still works is never tried.

    ## References
    - https://cwe.mitre.org/data/definitions/798.html
    - https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
    """
    for found in secrets(document.blob):
        yield Finding(
            message=f"{found.kind} in line {found.line:,}",
            at=msgspec.structs.replace(document.at(found.offset), line=found.line),
            action=Action.REVIEW,
            symbol=found.name,
            evidence=(Text("The secret, shortened", text=found.redacted),),
        )
