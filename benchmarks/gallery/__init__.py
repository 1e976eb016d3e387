r"""Each statistic on a real galaxy: the figures of `docs/morphometry.md`."""
