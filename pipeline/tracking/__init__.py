r"""What was run and what came out of it, in MLflow. Only this folder knows of MLflow."""

__all__ = [
    "Tracker",
    "Verdict",
    "keep_beside",
    "kept_beside",
    "promote",
    "resolve",
    "run_page",
    "store_uri",
    "verdict_of",
]

from pipeline.tracking.address import store_uri
from pipeline.tracking.registry import (
    Verdict,
    keep_beside,
    kept_beside,
    promote,
    resolve,
    run_page,
    verdict_of,
)
from pipeline.tracking.run import Tracker
