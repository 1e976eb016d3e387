r"""From a store to a model card."""

__all__ = ["check", "logits", "prepare", "temperature", "train"]

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import nn

from models import build
from pipeline import split as splitting
from pipeline.augment import Augment
from pipeline.baselines import fit_baseline, measurements
from pipeline.calibration import apply, fit_temperature
from pipeline.card import RECIPE, Card, common_scale, pack, put, recipe_digest, recover
from pipeline.compilation import compile_ahead
from pipeline.config import Experiment, settings, shown
from pipeline.dataset import Batches, class_weights
from pipeline.descriptors import number_names
from pipeline.errors import ConfigError, DataError
from pipeline.files import locked, read_json, replacing, write_json
from pipeline.labels import Scheme
from pipeline.metrics import measure
from pipeline.optimization import Training
from pipeline.prediction import predict
from pipeline.runs.data import Sample, sample, scheme
from pipeline.runs.home import HISTORY, MEMBERS, MODEL, RUN, TRAINED, receipt, tracker
from pipeline.runs.inputs import reading_of
from pipeline.stretch import Stretch
from pipeline.training import Fitted, fit
from pipeline.trees import Trees, pool

_log = logging.getLogger(__name__)


def train(experiment: Experiment) -> dict:
    r"""Trains the model of an experiment, calibrates it, and saves its card.

    Run again after a kill, it goes on where it was; run again after it ended, its network trains
    no more.

    Returns:
        What was made. `network_at_best_epoch` is of the network alone, neither turned nor
        calibrated; `model_as_kept` of what answers from now on, its forest included.
    """

    found = sample(experiment)
    _check_classes(found, experiment.model.forest)
    check(experiment)
    prepare(experiment)
    with torch.random.fork_rng():
        torch.manual_seed(experiment.seed)
        network = _network(experiment, found.scheme, experiment.model.pretrained).to(device())
    home = experiment.home
    folder = home / "training" / _digest(experiment, found)

    with tracker(experiment, folder) as tracked:
        write_json(folder / RUN, receipt(experiment, tracked))
        text = yaml.safe_dump(shown(experiment).model_dump(mode="json"), sort_keys=False)
        tracked.configure(settings(experiment), text)
        tracked.dataset(experiment.name, found.store.fingerprint, found.store.folder, "training")
        fitted = fit(
            network,
            _batches(experiment, found, "train"),
            _batches(experiment, found, "validation"),
            folder,
            settings=_settings(experiment, found),
            on_epoch=lambda epoch, row: tracked.log(row, step=epoch),
            ids=found.store.manifest["id"].to_pylist(),
        )
        tracked.complete(fitted.history)
        best = fitted.best
        told = {f"best_{name}": value for name, value in best.items() if name != "seconds"}
        tracked.log(told, fitted.best_epoch)
        trees, names = _forest(experiment, found) if experiment.model.forest else (None, ())
        z, labels = _validated(experiment, found, network, trees)
        heat = fit_temperature(z, labels)
        card = replace(_card(experiment, found, heat), numbers=names)
        splitting.save(folder / MEMBERS, found.ids, found.parts.tolist())
        _keep(home, (card, network, trees), fitted, folder, text)

    return {
        "model": str(home / MODEL),
        "epochs": len(fitted.history),
        "best_epoch": fitted.best_epoch,
        "seconds": fitted.seconds,
        "network_at_best_epoch": {name: best[name] for name in best if "validation" in name},
        "model_as_kept": {
            "answers": f"{card.model} + forest" if trees else card.model,
            "symmetries": card.symmetries,
            "temperature": heat,
            **_reached(apply(z, heat), labels),
        },
        "run": tracked.url,
    }


def _check_classes(found: Sample, forest: bool) -> None:
    r"""Refuses galaxies that teach nothing, and warns of classes that none of them is of."""

    labels = found.of("train")[1]
    present = set(labels.tolist())
    if len(present) < 2:
        raise DataError(
            f"{found.store.folder}: all {len(labels)} training galaxies are"
            f" {found.scheme.classes[labels[0]]!r}, expected two classes or more"
        )
    if forest and (np.bincount(labels) >= 2).sum() < 2:
        raise DataError(
            f"{found.store.folder}: one class alone has two training galaxies or more, expected"
            " two such classes for model.forest"
        )
    absent = [name for k, name in enumerate(found.scheme.classes) if k not in present]
    if absent:
        _log.warning(
            "%s: no training galaxy is %s; the model cannot know it",
            found.store.folder,
            " or ".join(absent),
        )


def _forest(experiment: Experiment, found: Sample) -> tuple[Trees, tuple[str, ...]]:
    r"""Fits the forest that answers together with the network; names what it asks for."""

    rows, labels, _ = found.of("train")
    seen = measurements(found.store, rows, experiment.data.workers)
    forest = fit_baseline("forest", seen, labels, experiment.seed)[-1]

    return Trees.of(forest, len(found.scheme)), number_names(found.store.info.bands)


def _keep(
    home: Path,
    model: tuple[Card, nn.Module, Trees | None],
    fitted: Fitted,
    folder: Path,
    experiment: str,
) -> None:
    r"""Puts a trained model in the place of another one, unless it is there. Its experiment comes
    last: without it there is no model, whatever else a kill has left."""

    _, contents = pack(*model)
    run, members = read_json(folder / RUN), (folder / MEMBERS).read_bytes()
    with locked(home):
        recover(home / MODEL)
        if _is_there(home, contents, run, members, experiment):
            return
        (home / TRAINED).unlink(missing_ok=True)
        put(home / MODEL, contents)
        write_json(home / HISTORY, {"epochs": fitted.history, "best": fitted.best_epoch})
        write_json(home / RUN, run | {"card": recipe_digest(home / MODEL)})
        with replacing(home / MEMBERS) as file:
            file.write(members)
        with replacing(home / TRAINED) as file:
            file.write(experiment.encode())


def _is_there(
    home: Path, contents: Mapping[str, bytes], run: dict[str, Any], members: bytes, experiment: str
) -> bool:
    r"""Tells whether a model is the one that is kept, which may have been evaluated since."""

    try:
        kept = {name: (home / MODEL / name).read_bytes() for name in contents}
        card = Card.from_json(kept[RECIPE].decode())
        now = read_json(home / RUN, "run", "card")
        beside = (home / MEMBERS).read_bytes(), (home / TRAINED).read_text()
        read_json(home / HISTORY)
    except (OSError, ValueError):  # what is lost or damaged is not there, and is written anew
        return False
    kept[RECIPE] = replace(card, metrics={}).to_json().encode()
    same_run = now["run"] == run["run"] and now["card"] == recipe_digest(home / MODEL)

    return kept == contents and beside == (members, experiment) and same_run


def _batches(experiment: Experiment, found: Sample, part: str) -> Batches:
    r"""Prepares one part of the galaxies. Only the training galaxies see randomness."""

    options = experiment.batches
    rows, labels, _ = found.of(part)
    training = part == "train"
    augment = options.augment if training else None

    return Batches(
        found.store,
        rows,
        labels,
        options.size,
        device(),
        stretch=Stretch(**options.stretch.model_dump()),
        augment=Augment(**augment.model_dump()) if augment else None,
        mirror=found.scheme.mirror,
        shuffle=training,
        balanced=options.balanced and training,
        seed=experiment.seed,
    )


def temperature(
    experiment: Experiment, found: Sample, network: nn.Module, trees: Trees | None = None
) -> float:
    r"""Calibrates a network, or a network and a forest, on the validation galaxies."""

    return fit_temperature(*_validated(experiment, found, network, trees))


def _validated(
    experiment: Experiment, found: Sample, network: nn.Module, trees: Trees | None
) -> tuple[NDArray, NDArray[np.int64]]:
    r"""Returns the class scores of the validation galaxies, and their labels."""

    rows, labels, _ = found.of("validation")
    z: NDArray = logits(experiment, found, network, "validation")
    if trees is not None:
        measured = measurements(found.store, rows, experiment.data.workers)
        z = pool(z, trees.probabilities(measured))

    return z, labels


def _reached(probabilities: NDArray, labels: NDArray[np.int64]) -> dict[str, float]:
    r"""Returns what a training tells of each epoch, of the model that came of it."""

    scores = measure(probabilities, labels)
    names = {"loss": "log_loss", "accuracy": "accuracy", "macro_f1": "macro_f1"}

    return {f"validation_{name}": float(scores[score][0]) for name, score in names.items()}


def logits(
    experiment: Experiment, found: Sample, network: nn.Module, part: str
) -> NDArray[np.float32]:
    r"""Returns the class scores of one part by the network, with shape `(N, K)`."""

    symmetries = experiment.evaluation.symmetries
    network = network.to(device())

    return predict(network, _batches(experiment, found, part), symmetries, found.scheme.mirror)


def device() -> str:
    r"""Returns the accelerator, if there is one."""

    return "cuda" if torch.cuda.is_available() else "cpu"


def check(experiment: Experiment) -> None:
    r"""Refuses an experiment that cannot train, before time is spent on its data.

    Raises:
        ConfigError: If it has no labels, if its network cannot be built or does not take the
            images, or if the file of its weights is missing.
    """

    weights = _weights_file(experiment)
    if weights and not weights.is_file():
        raise ConfigError(
            f"model.pretrained={str(weights)!r} is no file, expected true, false, a file,"
            " https://... or hf_hub:OWNER/NAME"
        )

    name, (height, width) = experiment.model.name, experiment.data.shape
    try:
        with torch.device("meta"):
            network = _network(experiment, scheme(experiment), pretrained=False)
            network(torch.zeros(2, len(experiment.data.bands), height, width))
    except NotImplementedError:
        return  # some networks of others cannot be tried without memory
    except ConfigError:
        raise
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"model.name={name!r} takes no images of {height} x {width} pixels: {error};"
            " expected another model, another data.size, or model.args that fit both"
        ) from error


def prepare(experiment: Experiment) -> None:
    r"""Begins to compile what will measure the galaxies, for a forest or another baseline."""

    measures = experiment.model.forest or experiment.evaluation.baselines
    if measures and experiment.data.workers > 1:  # one process compiles for itself
        compile_ahead()


def _weights_file(experiment: Experiment) -> Path | None:
    r"""Returns where the weights to begin with are, if they are a file."""

    weights = experiment.model.pretrained
    if isinstance(weights, bool) or re.match(r"https?://|hf[-_]hub:|local-dir:", weights):
        return None

    return Path(weights)


def _network(experiment: Experiment, meaning: Scheme, pretrained: bool | str) -> nn.Module:
    options = experiment.model
    try:
        return build(
            options.name,
            bands=len(experiment.data.bands),
            classes=len(meaning),
            pretrained=pretrained,
            mirror=meaning.mirror,
            **options.args,
        )
    except (ValueError, OSError) as error:
        raise ConfigError(f"model.name={options.name!r}: {error}") from error


def _settings(experiment: Experiment, found: Sample) -> Training:
    options = experiment.training.model_dump()
    power = options.pop("class_weights")
    weights = class_weights(found.of("train")[1], len(found.scheme), power)

    return Training(
        **options, seed=experiment.seed, class_weights=tuple(weights.tolist()) if power else None
    )


def _card(experiment: Experiment, found: Sample, temperature: float) -> Card:
    info, data = found.store.info, experiment.data
    scales = found.store.manifest["scale_arcsec"].to_numpy()[found.of("train")[0]]

    return Card(
        model=experiment.model.name,
        args=experiment.model.args,
        bands=info.bands,
        height=info.height,
        width=info.width,
        scale=info.scale,
        survey=info.survey,
        pixel_arcsec=common_scale(scales),
        reading=reading_of(data),
        stretch=experiment.batches.stretch.model_dump(),
        classes=found.scheme.classes,
        mirror=found.scheme.mirror,
        temperature=temperature,
        symmetries=experiment.evaluation.symmetries,
        name=experiment.name,
        fingerprint=found.store.fingerprint,
    )


def _digest(experiment: Experiment, found: Sample) -> str:
    r"""Names what the weights depend on: the same name is the same training, to go on with."""

    parts = {"model", "training", "batches", "seed"}
    text = shown(experiment).model_dump_json(include=parts, exclude={"model": {"forest"}})
    text += found.store.fingerprint
    text += repr((found.scheme.classes, found.scheme.mirror))
    if weights := _weights_file(experiment):
        text += blake2b(weights.read_bytes()).hexdigest()
    members = "".join(found.ids[i] + found.parts[i] for i in np.argsort(found.ids))

    return blake2b((text + members).encode(), digest_size=8).hexdigest()
