r"""Which layers learn."""

__all__ = ["freeze", "head_names", "in_head"]

from functools import partial

from torch import nn


def head_names(model: nn.Module) -> tuple[str, ...]:
    r"""Returns the names of the layers that give the class scores.

    They are what a timm model calls its classifier; elsewhere, the last linear layer, or the
    last convolution where no layer is linear.
    """

    named = getattr(model, "pretrained_cfg", None) or {}
    names = named.get("classifier") or ()
    names = (names,) if isinstance(names, str) else tuple(names)
    modules = dict(model.named_modules())
    if names and all(name in modules for name in names):
        return names

    for kind in (nn.Linear, nn.Conv2d):
        found = [name for name, module in modules.items() if isinstance(module, kind)]
        if found:
            return (found[-1],)

    raise ValueError(f"{type(model).__name__} has no linear layer and no convolution")


def in_head(name: str, heads: tuple[str, ...]) -> bool:
    r"""Whether a parameter or module of that name is a part of the head."""

    return any(name == head or name.startswith(f"{head}.") for head in heads)


def freeze(model: nn.Module) -> nn.Module:
    r"""Freezes all layers below the head, in place.

    Nothing of them moves: their parameters get no gradient, so that none is computed below
    the head, and they stay in evaluation mode when :py:meth:`torch.nn.Module.train` is
    called, so that the statistics of a batch normalization keep still and a dropout drops
    nothing.

    Arguments:
        model: Any model of :py:mod:`models`.

    Returns:
        The same model.
    """

    heads = head_names(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(in_head(name, heads))

    for name, module in model.named_modules():
        above = any(head == name or head.startswith(f"{name}.") for head in heads)
        if name and not above and not in_head(name, heads):
            module.eval()
            module.train = partial(_stay, module)  # type: ignore[method-assign]

    return model


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    return module
