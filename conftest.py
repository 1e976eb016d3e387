import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def doctest_names(doctest_namespace: dict) -> None:
    doctest_namespace |= {"np": np, "torch": torch}
