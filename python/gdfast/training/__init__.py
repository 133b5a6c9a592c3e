"""Training on plain values: networks, data, options, and the state from which training continues.

Nothing here depends on scikit-learn or an estimator. Dependencies have one direction: ``gdfast.estimators``
checks and translates, this package trains, the extension computes.

==============  =============================================================================================
`data`          rows, or sequences, with targets and weights
`network`       a network's functions, its trainer, its outputs
`init`          the initial weights
`options`       the options of a step, and of the whole training
`state`         the state of training: weights, optimizer, order of rows, records; plain arrays and numbers
`monitor`       detects improvement, and keeps the best weights
`listeners`     are called at epochs, may edit the weights, and may end training
`train`         trains from a state, by a stochastic solver, L-BFGS, Levenberg-Marquardt
              or annealing
==============  =============================================================================================
"""
