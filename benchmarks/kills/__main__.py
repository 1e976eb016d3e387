r"""`python -m benchmarks.kills [--kills 50] [--seed 0] [STAGE ...]` kills all stages in turn, or
those that are named.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.kills.classify import Classify
from benchmarks.kills.ingest import Ingest
from benchmarks.kills.torture import Stage, torture
from benchmarks.kills.train import Train

STAGES: dict[str, Stage] = {
    "ingest": Ingest(),
    "train": Train(),
    "train_on_two": Train(devices=2),
    "train_with_forest": Train(epochs=3, forest=True),
    "classify": Classify(),
}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("stages", nargs="*", default=list(STAGES), metavar="stage")
parser.add_argument("--kills", type=int, default=50)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--json", action="store_true")
options = parser.parse_args()

outcomes = []
for name in options.stages:
    with tempfile.TemporaryDirectory() as folder:
        outcome = torture(name, STAGES[name], Path(folder), options.kills, options.seed)
    outcomes.append(outcome)
    if not options.json:
        sys.stdout.write(f"{outcome.summary}\n")
        sys.stdout.flush()
if options.json:
    json.dump([asdict(outcome) for outcome in outcomes], sys.stdout)
sys.exit(int(any(outcome.differing for outcome in outcomes)))
