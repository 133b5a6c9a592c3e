"""Training as plain values: what is trained, where it is, and how it goes on.

Nothing here knows scikit-learn or an estimator. Arrows run one way: ``gdfast.estimators`` checks and
translates, this package trains, the extension computes.

==============  =============================================================================================
`data`          rows, or sequences, with targets and weights
`network`       a network's functions, its first weights, its trainer, its outputs
`options`       what a step does beyond the plain one, and how long training goes on
`state`         where training is: weights, optimizer, order of rows, records; as plain arrays and numbers
`monitor`       what says whether training gets better, and the weights that were best
`listeners`     who is told of epochs, may edit the weights, and may end training
`train`         goes on from a state, by a stochastic solver, L-BFGS or annealing
==============  =============================================================================================
"""
