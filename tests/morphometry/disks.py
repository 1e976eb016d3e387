r"""Inclined disks, and their symmetric images, for the tests."""

import numpy as np


def plane(shape, x, y, q, theta):
    r"""The radius and the azimuth in the plane of a disk."""

    rows, columns = np.mgrid[: shape[0], : shape[1]]
    u = (columns - x) * np.cos(theta) + (rows - y) * np.sin(theta)
    v = ((rows - y) * np.cos(theta) - (columns - x) * np.sin(theta)) / q

    return np.hypot(u, v), np.arctan2(v, u)


def turned(image, x, y, theta, turns, mirrored):
    r"""One of the eight symmetric images of the square, with its centre and its angle."""

    if mirrored:
        image, x, theta = image[:, ::-1], image.shape[1] - 1 - x, np.pi - theta
    for _ in range(turns):
        x, y, theta = y, image.shape[1] - 1 - x, theta - np.pi / 2
        image = np.rot90(image)

    return np.ascontiguousarray(image), x, y, theta


def clumpy(shape, x, y, scale, seed):
    r"""A disk with a clump, and noise of one."""

    r, _ = plane(shape, x, y, 0.8, 0.4)
    j, i = np.arange(shape[1]), np.arange(shape[0])[:, None]
    clump = 30 * np.exp(-((j - x - 4) ** 2 + (i - y + 3) ** 2) / 4)

    return 80 * np.exp(-r / scale) + clump + np.random.default_rng(seed).normal(size=shape)
