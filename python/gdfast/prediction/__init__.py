"""Prediction on plain values: from weights and samples to outputs, labels and numbers.

Nothing here depends on scikit-learn or an estimator. The estimators take their arithmetic from here, and
:func:`gdfast.load` with ``training=False`` returns the predictors, which need NumPy only.

==============  =============================================================================================
`inputs`        checks of rows of numbers
`sequences`     checks of sequences and their states
`weights`       whether weights are those of a network
`labels`        from outputs to probabilities and labels
`ensemble`      from the predictions of several networks to one
`predictors`    models that predict, and do nothing else
==============  =============================================================================================
"""
