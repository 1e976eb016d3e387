r"""How far our measurements are from those of statmorph: `python -m benchmarks.agreement`."""
