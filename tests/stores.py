r"""A small store of galaxies in two bands, for the tests."""

import numpy as np

from pipeline.store import Store, StoreInfo

SHAPE = (33, 29)
INFO = StoreInfo(("g", "r"), *SHAPE, scale="native", survey="s")
NOISE = {"noise_g": 0.25, "noise_r": 4.0}


def draw(seed, flux=60.0):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    r = np.hypot((x - 14.2) / 1.3, y - 16.4)

    return [
        flux * np.exp(-r / width) + random.normal(size=SHAPE) for width in (3.0 + seed % 3, 2.5)
    ]


def fill(folder, count):
    r"""A store whose fourth galaxy is rejected."""

    store = Store.create(folder, INFO)
    rows = [
        {"id": f"J{i:03d}", "status": "ok", "unit": "nJy", "scale_arcsec": 0.2, "ra": 1.0 + i}
        | NOISE
        | ({"status": "rejected", "reason": "the file is empty"} if i == 3 else {})
        for i in range(count)
    ]
    kept = [i for i in range(count) if i != 3]
    store.commit(np.array([draw(i) for i in kept], np.float16), rows)

    return store
