"""scikit-learn's interface.

`classifier` and `regressor` are the two estimators, `base` what they share, `fitting` how they fit,
and `coefs` their scikit-learn attributes.

May import: kernels, network, training.

Used above: base, classifier, regressor.
"""
