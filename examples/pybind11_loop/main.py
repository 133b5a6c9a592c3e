"""Learns values of a random walk, in C++. First: python setup.py build_ext --inplace"""

from __future__ import annotations

import numpy as np
from random_walk import learnt_values


def main() -> None:
    places = np.linspace(0.1, 0.9, 5)
    values = learnt_values(places)
    for place, value in zip(places, values, strict=True):
        print(f"from {place:.1f} the walk ends above with a chance of {value:.2f}")


if __name__ == "__main__":
    main()
