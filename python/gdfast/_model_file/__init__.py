"""Model files: an estimator as arrays and plain values, without code.

===============  ============================================================================================
`safetensors`    the layout of a file: arrays and a dict of strings
`tree`           trees of plain values as JSON and arrays
`attributes`     the fitted attributes of each class, and the checks of what comes back
`training`       the state of training that an estimator keeps
`objects`        the fixed list of classes; from objects to trees and back
`files`          whole trees to files and back
`models`         `save` and `load`
===============  ============================================================================================

Nothing here imports scikit-learn before an object of an estimator is built.
"""
