r"""Training. This is the only package that knows Lightning."""

__all__ = ["Fitted", "fit"]

from pipeline.training.fit import Fitted, fit
