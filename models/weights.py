r"""Weights that were learnt before."""

__all__ = ["adapt", "bare", "blue_to_red", "fetch", "load_weights", "read_weights", "spread"]

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urldefrag, urlsplit
from urllib.request import urlopen

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from models.freezing import head_names, in_head

WRAPPERS = ("state_dict", "model", "model_state_dict")
PREFIXES = ("module.", "model.", "net.")
DAMAGE = (SafetensorError, UnpicklingError, OSError, RuntimeError, EOFError, KeyError)

logger = logging.getLogger(__name__)


def spread(weight: Tensor, bands: int) -> Tensor:
    r"""Spreads the filters of a first layer over another number of bands.

    The bands share the spectrum like pixels share a line: band :math:`c` of :math:`C` covers
    :math:`[c/C, (c+1)/C]` and takes from input :math:`i` of :math:`I` what they overlap,

    .. math:: w'_c = \sum_i A_{ci} w_i \quad \text{with} \quad
        A_{ci} = I \, \left| \left[\tfrac{c}{C}, \tfrac{c+1}{C}\right]
        \cap \left[\tfrac{i}{I}, \tfrac{i+1}{I}\right] \right|

    As :math:`\sum_c A_{ci} = 1`, the response to an image whose bands are all equal stays
    what it was: :math:`\sum_c w'_c = \sum_i w_i`. For :math:`C = I` nothing changes.

    Arguments:
        weight: The filters, with shape `(D, I, *)`.
        bands: The number of bands :math:`C`.

    Returns:
        The filters, with shape `(D, C, *)`.
    """

    inputs = weight.shape[1]
    c = torch.arange(bands, dtype=torch.float64)[:, None] / bands
    i = torch.arange(inputs, dtype=torch.float64) / inputs
    overlap = torch.minimum(c + 1 / bands, i + 1 / inputs) - torch.maximum(c, i)
    share = (inputs * overlap.clamp(min=0)).to(weight.device)  # (C, I)

    return torch.einsum("ci,di...->dc...", share, weight.double()).to(weight.dtype)


def adapt(model: nn.Module, bands: int) -> nn.Module:
    r"""Gives the first convolution `bands` input channels, in place, by :func:`spread`."""

    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None or first.groups != 1:
        kind = type(model).__name__
        raise ValueError(f"{kind} has no plain convolution first, to fit to {bands} bands")

    if first.in_channels != bands:
        first.in_channels = bands
        first.weight = nn.Parameter(spread(first.weight.detach(), bands))

    return model


def blue_to_red(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    r"""Turns filters of red, green and blue into filters of blue, green and red.

    Networks are published with filters of pictures in that order, but bands go from blue to
    red. Only first convolutions of three inputs are turned.

    Arguments:
        model: The network that is to have the weights.
        weights: The tensors by name.
    """

    named = (getattr(model, "pretrained_cfg", None) or {}).get("first_conv")
    if not named:
        named = next((n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)), ())
    keys = {f"{name}.weight" for name in ((named,) if isinstance(named, str) else named)}
    turned = {
        key: weights[key].flip(1)
        for key in keys & weights.keys()
        if weights[key].ndim == 4 and weights[key].shape[1] == 3
    }

    return {**weights, **turned}


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> nn.Module:
    r"""Loads weights into a model, in place, and says what does not fit.

    A first layer for another number of bands is :func:`spread`. A head that is missing or of
    another shape is left as it is, at random, which is logged. Anything else must agree.

    Arguments:
        model: The model.
        weights: The tensors by name.
        source: Where they come from, for messages.

    Returns:
        The same model.

    Raises:
        ValueError: If a tensor is missing, unexpected, or of another shape.
    """

    own, heads = model.state_dict(), head_names(model)
    fitted = {key: _fit(tensor, own.get(key)) for key, tensor in weights.items()}

    parts = {key for key in own if in_head(key, heads)}
    if any(key not in fitted or fitted[key].shape != own[key].shape for key in parts):
        logger.info("%s: the head %s begins at random", source, ", ".join(heads))
        fitted = {key: tensor for key, tensor in fitted.items() if not in_head(key, heads)}
    else:
        parts = set()

    optional = parts | {key for key in own if key.endswith("num_batches_tracked")}
    problems = {
        "missing": [key for key in own if key not in fitted and key not in optional],
        "unexpected": [key for key in fitted if key not in own],
        "of another shape": [
            f"{key} {tuple(tensor.shape)} for {tuple(own[key].shape)}"
            for key, tensor in fitted.items()
            if key in own and tensor.shape != own[key].shape
        ],
    }
    if any(problems.values()):
        found = "; ".join(f"{what}: {_few(keys)}" for what, keys in problems.items() if keys)
        raise ValueError(f"{source} does not fit {type(model).__name__}: {found}")

    model.load_state_dict(own | fitted)

    return model


def read_weights(path: str | Path) -> dict[str, Tensor]:
    r"""Reads the tensors of a `.safetensors`, `.pt` or `.pth` file, and nothing executable.

    The weights may lie under `state_dict` or `model`, and their names may share one of the
    prefixes that wrappers add.

    Raises:
        ValueError: If the file is missing, damaged, or holds anything but tensors.
    """

    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is not a file of weights")

    try:
        if path.suffix == ".safetensors":
            return _unwrap(safetensors.torch.load_file(path), path)
        return _unwrap(torch.load(path, map_location="cpu", weights_only=True), path)
    except DAMAGE as error:
        raise ValueError(f"{path} holds no readable weights: {error}") from error


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping) and (inner := [k for k in WRAPPERS if k in content]):
        content = content[inner[0]]
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{path} holds no tensors by name")

    wrong = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if wrong:
        raise ValueError(f"{path} holds more than tensors: {_few(wrong)}")

    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in content):
            content = {key.removeprefix(prefix): value for key, value in content.items()}

    return dict(content)


def bare(source: str) -> str:
    r"""Returns an address without its user, its password and its query, for messages. A file is
    what it is."""

    parts = urlsplit(source)
    if parts.scheme not in ("http", "https"):
        return source

    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def fetch(url: str, folder: Path | None = None) -> Path:
    r"""Downloads a file once, and returns where it lies.

    Arguments:
        url: An address, which may end in `#sha256=...`, checked also against the cached copy.
        folder: The cache. By default, that of :py:func:`torch.hub.get_dir`.

    Raises:
        ValueError: If the file cannot be had, is incomplete, or has another hash.
    """

    address, fragment = urldefrag(url)
    if "@" in urlsplit(address).netloc:
        raise ValueError(f"{bare(address)}: expected an address without a user and a password")
    expected = fragment.removeprefix("sha256=").lower() if fragment else ""
    folder = folder or Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    tag = hashlib.sha256(address.encode()).hexdigest()[:12]
    target = folder / f"{tag}-{Path(urlsplit(address).path).name}"

    if target.is_file() and expected in ("", _sha256(target)):
        return target

    part = Path(tempfile.mkstemp(dir=folder, prefix=".part-")[1])
    try:
        _download(address, part)
        found = _sha256(part)
        if expected not in ("", found):
            raise ValueError(f"{bare(address)} has sha256 {found}, expected {expected}")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)

    return target


def _download(address: str, part: Path) -> None:
    try:
        with urlopen(address, timeout=60) as answer, part.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
            length = answer.headers.get("Content-Length")
    except OSError as error:
        raise ValueError(f"{bare(address)} cannot be downloaded: {error}") from error

    if length is not None and part.stat().st_size != int(length):
        raise ValueError(f"{bare(address)} ended after {part.stat().st_size} of {length} bytes")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fit(tensor: Tensor, own: Tensor | None) -> Tensor:
    r"""Spreads a convolution that differs in its input channels alone."""

    if own is None or tensor.ndim != 4 or own.ndim != 4 or tensor.shape == own.shape:
        return tensor
    same = tensor.shape[0] == own.shape[0] and tensor.shape[2:] == own.shape[2:]

    return spread(tensor, own.shape[1]) if same else tensor


def _few(keys: list[str], limit: int = 5) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""

    return ", ".join(keys[:limit]) + more
