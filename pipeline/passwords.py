r"""Addresses without their passwords, for all that others may read."""

__all__ = ["masked"]

import re

_PASSWORDS = (
    # A password may hold blanks or @, but hardly both; that of a database may hold slashes
    re.compile(r"(\bhttps?:/{1,2}[^\s/?#:@]*:)(?:[^\s/?#]*|[^/?#@\n]*)(?=@)"),
    re.compile(r"(\b(?!https?:)[A-Za-z][\w+.-]*:/{1,2}[^\s/:@]*:)(?:\S*|[^/@\n]*)(?=@)"),
    re.compile(
        r"([?&][\w.-]*(?:passw(?:or)?d|pwd|secret|token|signature|sig|key|credential|odbc_connect)=)"
        r"[^\s&#'\"]*",
        re.IGNORECASE,
    ),
)


def masked(text: str) -> str:
    r"""Returns a text in which the passwords of addresses are asterisks: before a host, and in a
    query.

    Masked twice is masked once: what was written masked equals what is masked to compare.

    Example:
        >>> masked("postgresql://me:s3cret@db/mlflow is away")
        'postgresql://me:***@db/mlflow is away'
        >>> masked("https://host/weights.pt?token=s3cret#sha256=00ff")
        'https://host/weights.pt?token=***#sha256=00ff'
    """

    for pattern in _PASSWORDS:
        text = pattern.sub(r"\1***", text)

    return text
