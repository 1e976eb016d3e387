r"""The networks, by name."""

__all__ = ["MODELS", "adapt", "build", "freeze", "head_names", "load_weights", "read_weights"]

import inspect
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from torch import Tensor, nn

from models.backbones import HUBS, PREFIXES, backbone, published
from models.cutout_resnet import CutoutResNet
from models.dihedral_resnet import DihedralResNet
from models.freezing import freeze, head_names
from models.lenet import LeNet
from models.weights import adapt, bare, blue_to_red, fetch, load_weights, read_weights

MODELS: dict[str, type[nn.Module]] = {
    "lenet": LeNet,
    "cutout_resnet": CutoutResNet,
    "dihedral_resnet": DihedralResNet,
}


def build(
    name: str,
    bands: int,
    classes: int,
    pretrained: bool | str = False,
    mirror: Sequence[int] | None = None,
    **args,
) -> nn.Module:
    r"""Builds a network by its name.

    Its weights are drawn from the global random numbers of torch, unless they are learnt.

    Arguments:
        name: A key of :data:`MODELS`, or `timm:NAME`, or `torchvision:NAME`.
        bands: The number of bands :math:`C`.
        classes: The number of classes :math:`K`.
        pretrained: Whether to load the weights that the library publishes; or a file, an
            address (`https://...`, which may end in `#sha256=...`), or `hf_hub:OWNER/NAME`.
            Filters of the library and of the hub are of red, green and blue, and are turned
            to the bands, which go from blue to red. Those of a file or an address are of the
            bands as they stand.
        mirror: The index of the mirror image of each class, for a network that takes it.
        args: The other arguments of that network.

    Returns:
        The network, from images `(B, C, H, W)` to class scores `(B, K)`.

    Raises:
        ValueError: If the name, an argument or the weights do not fit.

    Example:
        >>> build("lenet", bands=3, classes=5)(torch.zeros(2, 3, 64, 48)).shape
        torch.Size([2, 5])
    """

    if name.startswith(PREFIXES):
        model = _call(backbone, name, bands, classes, **args)
    else:
        made = _registered(name, args)
        known = {"mirror": mirror} if "mirror" in inspect.signature(made).parameters else {}
        model = _call(made, bands, classes, **known, **args)

    if pretrained:
        load_weights(model, _learnt(model, name, pretrained, args), _source(name, pretrained))

    return model


def _learnt(model: nn.Module, name: str, pretrained: bool | str, args: dict) -> dict[str, Tensor]:
    if pretrained is True:
        if not name.startswith(PREFIXES):
            raise ValueError(f"{name!r} has no published weights, expected a file or an address")
        return blue_to_red(model, published(name, **args))

    source = str(pretrained)
    if source.startswith(HUBS):
        return blue_to_red(model, published(f"timm:{source}"))

    return read_weights(fetch(source) if source.startswith(("http://", "https://")) else source)


def _source(name: str, pretrained: bool | str) -> str:
    return f"the weights of {name}" if pretrained is True else bare(str(pretrained))


def _registered(name: str, args: dict) -> type[nn.Module]:
    if name not in MODELS:
        near = get_close_matches(name, MODELS, n=1)
        known = ", ".join([*MODELS, "timm:NAME", "torchvision:NAME"])
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {known}"
        raise ValueError(f"unknown model {name!r}, {hint}")

    takes = list(inspect.signature(MODELS[name]).parameters)
    for key in args:
        if key not in takes:
            near = get_close_matches(key, takes, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(takes)}"
            raise ValueError(f"{name} has no argument {key!r}, {hint}")

    return MODELS[name]


def _call(make: Callable[..., nn.Module], *args, **kwargs) -> nn.Module:
    try:
        return make(*args, **kwargs)
    except TypeError as error:
        raise ValueError(f"{args[0]}: {error}") from error
