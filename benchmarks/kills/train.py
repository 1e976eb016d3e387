r"""The killing of `tuningfork train`."""

__all__ = ["Train"]

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from pipeline import runs
from pipeline.config import Experiment, load
from pipeline.runs.home import HISTORY, MODEL, RUN

DEMO = Path(__file__).parents[2] / "configs/demo.yaml"


@dataclass(frozen=True)
class Train:
    r"""The verb, with its MLflow run, on a small simulated survey.

    Compared are the model card, the history and the metrics that MLflow has, without their times.
    """

    epochs: int = 12
    devices: int = 1
    forest: bool = False

    def prepare(self, folder: Path) -> None:
        runs.ingest(self.experiment(folder, folder))

    def experiment(self, folder: Path, output: Path) -> Experiment:
        survey = folder / "survey"
        settings = {
            "folder": output / "work",
            "simulate": "{galaxies: 160, side: 32, seed: 1}",
            "data.root": survey,
            "data.table.path": survey / "labels.csv",
            "data.size": 32,
            "data.store": folder / "store",
            "data.workers": 1,
            "model.args": "{width: 8, dropout: 0.2}",
            "training.epochs": self.epochs,
            "training.average": 0.9,
            "training.devices": self.devices,
            "model.forest": str(self.forest).lower(),
            "tracking.system_metrics": "false",
        }

        return load(DEMO, [f"{name}={value}" for name, value in settings.items()])

    def work(self, folder: Path, output: Path) -> None:
        experiment = self.experiment(folder, output)
        result = runs.train(experiment)
        shutil.copytree(experiment.home / MODEL, output / MODEL, dirs_exist_ok=True)
        history = json.loads((experiment.home / HISTORY).read_text())
        for row in history["epochs"]:
            del row["seconds"]
        run = json.loads((experiment.home / RUN).read_text())
        client = MlflowClient(run["uri"])
        told = {
            name: sorted({(m.step, m.value) for m in client.get_metric_history(run["run"], name)})
            for name in client.get_run(run["run"]).data.metrics
            if name != "seconds"
        }
        status = client.get_run(run["run"]).info.status
        found = {"history": history, "told": told, "status": status, "epochs": result["epochs"]}
        (output / "found.json").write_text(json.dumps(found, indent=1))
