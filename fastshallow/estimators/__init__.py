"""scikit-learn's interface.

`classifier` and `regressor` have the two estimators, and `base` their base class. `fitting` runs
one fit, and `coefs` has the attributes ``coefs_`` and ``intercepts_``.

May import: kernels, network, simd, training.

Used above: base, classifier, regressor.
"""
