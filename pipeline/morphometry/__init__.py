r"""What a galaxy looks like, in numbers."""
