r"""Networks that others published."""

__all__ = ["PREFIXES", "backbone", "published"]

from collections.abc import Callable
from difflib import get_close_matches

import timm
import torchvision
from torch import Tensor, nn

from models.weights import adapt

PREFIXES = ("timm:", "torchvision:")
HUBS = ("hf_hub:", "hf-hub:", "local-dir:")
AUXILIARY = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}


def backbone(name: str, bands: int, classes: int, **args) -> nn.Module:
    r"""Creates a network of timm or torchvision, at random, for `bands` bands.

    References:
        | PyTorch Image Models (Wightman, 2019)
        | https://doi.org/10.5281/zenodo.4414861

    Arguments:
        name: E.g. `timm:resnet18`, `timm:hf_hub:OWNER/NAME` or `torchvision:resnet18`.
        bands: The number of bands :math:`C`.
        classes: The number of classes :math:`K`.
        args: What else its constructor takes.

    Raises:
        ValueError: If the library has no such network, with the nearest that it has.
    """

    library, _, kind = name.partition(":")
    if library == "timm":
        _known(name, kind.startswith(HUBS) or timm.is_model(kind.split(".")[0]), timm.list_models)
        return timm.create_model(kind, in_chans=bands, num_classes=classes, **args)

    _known(name, kind in _torchvision_models(), _torchvision_models)
    if kind in AUXILIARY:
        args = {"aux_logits": False, "init_weights": True} | args

    return adapt(
        torchvision.models.get_model(kind, weights=None, num_classes=classes, **args), bands
    )


def published(name: str, **args) -> dict[str, Tensor]:
    r"""Returns the weights that the library publishes for a network, downloaded once.

    Arguments:
        name: A name as :func:`backbone` takes it.
        args: What else its constructor takes, of timm only.

    Raises:
        ValueError: If there are none.
    """

    library, _, kind = name.partition(":")
    if library == "timm":
        try:
            return timm.create_model(kind, pretrained=True, **args).state_dict()
        except RuntimeError as error:
            raise ValueError(f"{name!r} has no published weights: {error}") from error

    weights = torchvision.models.get_model_weights(kind).DEFAULT
    state = weights.get_state_dict(progress=False, check_hash=True)

    return {k: v for k, v in state.items() if not k.startswith(AUXILIARY.get(kind, ("\0",)))}


def _torchvision_models() -> list[str]:
    return torchvision.models.list_models(module=torchvision.models)


def _known(name: str, known: bool, names: Callable[[], list[str]]) -> None:
    if known:
        return

    library, _, kind = name.partition(":")
    near = get_close_matches(kind, names(), n=1)
    hint = f"did you mean '{library}:{near[0]}'?" if near else f"{library} has no such network"
    raise ValueError(f"unknown model {name!r}, {hint}")
