r"""What is told of an address that has a password, and of one that has none."""

import pickle
import sys

import pytest

from pipeline.errors import DataError
from pipeline.passwords import masked
from pipeline.provenance import provenance


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://me:s3cret@host/mlflow", "https://me:***@host/mlflow"),
        ("https://me:s3@cret@host:80/a?b=c@d", "https://me:***@host:80/a?b=c@d"),
        ("https:/me:s3cret@host", "https:/me:***@host"),  # as pathlib would have it
        ("postgresql://me:s3cret@db/mlflow", "postgresql://me:***@db/mlflow"),
        ("mysql+pymysql://me:s3/cret@db:3306/x", "mysql+pymysql://me:***@db:3306/x"),
        ("postgresql://me:s3 cret@db", "postgresql://me:***@db"),
        ("postgresql://:s3cret@db", "postgresql://:***@db"),
        (
            "postgresql://db/x?user=me&password=s3cret&y=1",
            "postgresql://db/x?user=me&password=***&y=1",
        ),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Ds3cret", "mssql+pyodbc:///?odbc_connect=***"),
        (
            "https://host/w.pt?X-Amz-Signature=s3cret#sha256=00ff",
            "https://host/w.pt?X-Amz-Signature=***#sha256=00ff",
        ),
        (
            "'http://me:s3cret@a' and 'http://me:s3cret@b'",
            "'http://me:***@a' and 'http://me:***@b'",
        ),
    ],
)
def test_masked(address, told):
    assert masked(address) == masked(told) == told


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/models:/demo@champion",
        "http://127.0.0.1:9 has no model models:/demo@champion",
        "postgresql://db:5432/x has no model models:/demo@champion",
        "postgresql://me@db/x",
        "sqlite:////home/me/a:b@c/mlflow.db",
        "hf_hub:mwalmsley/zoobot",
    ],
)
def test_without_a_password(text):
    assert masked(text) == text


def test_errors():
    r"""No error tells one, nor does it in another process."""

    error = DataError("http://me:s3cret@host is away")
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == "http://me:***@host is away"
    assert str(DataError()) == ""


def test_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/bin/x", "--set", "tracking.uri=http://me:s3cret@host"])
    assert provenance()["command"] == "x --set tracking.uri=http://me:***@host"
