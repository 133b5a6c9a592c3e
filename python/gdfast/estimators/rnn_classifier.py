"""RNNClassifier: class labels for sequences, or for each of their steps."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self, overload

from gdfast._constraints import checks_arguments
from gdfast.estimators._classification import Classification
from gdfast.estimators._recurrent import Recurrent
from gdfast.prediction.labels import logarithms
from gdfast.training.arrays import Array


class RNNClassifier(Classification, Recurrent):
    """Recurrent network classifier for sequences.

    Minimizes the cross-entropy by stochastic gradient descent; gradients are computed by backpropagation
    through time, full or truncated.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(64,)
        Number of units in each recurrent layer; each layer reads the states of the layer below.
    cell : {"elman", "gru", "lstm"}, default="gru"
        Type of the recurrent layers: Elman's (1990), with ``activation``; gated recurrent units (Cho et al.,
        2014), with the reset gate applied after the product with the state, as in PyTorch; or long short-term
        memory (Hochreiter and Schmidhuber, 1997) with forget gates (Gers et al., 2000).
    activation : {"tanh", "relu"}, default="tanh"
        Activation of "elman" layers; the gated layers have fixed activations.
    per_step : bool, default=False
        Whether there is a target for each step, or one for each sequence, which is predicted at its last
        step.
    tbptt : tuple of two int (k1, k2) or None, default=None
        Truncation of backpropagation through time. With a target for each step there is an update every k1
        steps, whose gradient reaches back over the last k2 steps, k1 <= k2; with one target for each sequence
        there is one update, whose gradient reaches back k2 steps. None means no truncation. Memory grows with
        k2, not with the length of sequences.
    stateful : bool, default=False
        Whether each call of ``partial_fit`` starts from the final states of the previous call, so that its
        sequences continue those of that call, in the same order. In ``fit`` every epoch starts from zeros.
    solver : str or gdfast.optim.Optimizer, default="adam"
        "sgd" (with momentum), "adam", "adagrad", "rmsprop", "adadelta", "adamw", "nadam", "adamax", "lion",
        "rprop", "muon", "soap", "schedulefree", "prodigy" (without a learning rate to choose), or an object
        of :mod:`gdfast.optim` with hyper-parameters of its own.
    alpha : float, default=0.0
        Strength of the L2 penalty: ``alpha / 2`` times the squared weights, divided by the number of targets
        in the update (the sum of their weights). Biases are not penalized.
    batch_size : int or "auto", default="auto"
        Number of sequences in a batch; "auto" is ``min(200, n_sequences)``.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Schedule of the learning rate, used by sgd only: ``learning_rate_init`` unchanged; divided by
        ``(t_ + 1) ** power_t``; or divided by 5 whenever training stops improving.
    learning_rate_init : float or "auto", default=0.001
        Initial learning rate. "auto" finds it by a range test (Smith, 2017): before
        training, a copy of the weights is trained for one pass, at least 100 batches, with a rate that rises
        from 1e-6 to 30. The rate found is a third of the first one at which the smoothed loss has fallen by
        80 % of its whole descent; see ``learning_rate_range_``.
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Maximum number of epochs of a fit.
    shuffle : bool, default=True
        Whether to shuffle the sequences in each epoch.
    random_state : int, RandomState instance or None, default=None
        Random numbers of the initial weights, the validation split and the order of sequences.
    tol : float, default=1e-4
        Smallest change of the loss, or of the validation score, that counts as an improvement.
    verbose : bool, default=False
        Whether to print the loss of each epoch.
    warm_start : bool, default=False
        Whether ``fit`` starts from the weights of the previous fit, with a new optimizer.
    momentum : float, default=0.9
        Momentum of sgd, between 0 and 1.
    nesterovs_momentum : bool, default=True
        Whether sgd uses Nesterov momentum.
    early_stopping : bool, default=False
        Whether to set sequences aside (or use ``X_val``), stop when the score on them no longer improves, and
        keep the weights with the best score.
    validation_fraction : float, default=0.1
        Fraction of the sequences to set aside for validation.
    beta_1 : float, default=0.9
        Decay of the first moment of ``solver="adam"``, in [0, 1). Other solvers with moments take ``beta_1``,
        ``beta_2`` and ``epsilon`` from an object of :mod:`gdfast.optim` only.
    beta_2 : float, default=0.999
        Decay of Adam's second moment, in [0, 1).
    epsilon : float, default=1e-8
        Added to the square root of Adam's second moment.
    n_iter_no_change : int, default=10
        Number of epochs without improvement that are tolerated: after one more, training stops (or "adaptive"
        reduces the learning rate).
    n_jobs : int, default=None
        Maximum number of threads in ``fit`` and ``predict``; -1 means one for each processor. None uses as
        many as the amount of work justifies. The results do not depend on the number of threads.
    class_weight : dict, list of dict or "balanced", default=None
        Weights of the classes, which multiply ``sample_weight``; see :class:`MLPClassifier`.
    label_smoothing : float, default=0.0
        Fraction of each label that is distributed evenly over all classes in training, in [0, 1).
    scoring : str, callable or None, default=None
        Score on the validation set, which decides which weights are best and when ``early_stopping`` stops:
        the name of one of scikit-learn's scorers, a callable ``scorer(estimator, X, y)``, "loss" for the
        validation loss, or None for the accuracy. ``per_step`` allows the last two only.
    coefs_init : list of array-like, default=None
        Initial weights, copied, in the shapes of ``coefs_``. None draws them: the input-to-hidden weights
        uniformly by Glorot and Bengio (2010), the hidden-to-hidden weights orthogonal, gate by gate.
    intercepts_init : list of array-like, default=None
        Initial biases, copied. None sets them to zero, and to one for the forget gates of an LSTM and the
        update gates of a GRU.
    keep_optimizer_state : bool, default=False
        Whether a ``fit`` with ``warm_start`` continues exactly where the previous one ended: with the
        optimizer's moments, step count and learning rate and, for the same number of sequences, their order
        and the validation split. Exceptions are weights that a validation set has restored, and a schedule
        that spans the whole training, which restarts with each fit.
    max_time : float, default=None
        Time limit of a fit in seconds. The fit ends after the epoch in which the limit is reached. None sets
        no limit.
    callbacks : list of object, default=None
        Objects that the fit calls; see :class:`MLPClassifier`.
    resume : str or path-like, default=None
        Path of a checkpoint, see :class:`gdfast.callbacks.ModelCheckpoint`. If there is one, ``fit`` goes on
        with its run, and the result is that of a fit without interruption; otherwise it begins. Data and all
        arguments that change a step must be those of the run: a ValueError names what is not. ``max_iter``
        may be larger. ``partial_fit`` takes no notice of it.
    schedule : str, gdfast.schedules.Schedule or callable, default=None
        Learning-rate schedule for any solver; see :class:`MLPClassifier`. A step of the schedule is an
        update. With ``tbptt`` and a target for each step a batch has several, as many as the longest of all
        sequences needs; a batch that needs fewer skips the schedule's remaining steps.
    l1_ratio : float, default=0.0
        Fraction of ``alpha`` that is an L1 penalty, in [0, 1]; the rest is L2.
    weight_decay : float, default=0.0
        Decoupled weight decay: every update also multiplies the weights (not the biases) by
        ``1 - learning_rate * weight_decay``.
    weight_decay_schedule : str, schedule or callable, default=None
        Schedule of ``weight_decay``, in any of the forms of ``schedule``: in each epoch ``weight_decay`` is
        what the schedule makes of it as it makes learning rates, the mean over the epoch's steps. None keeps
        it constant.
    learning_rate_factors : dict or None, default=None
        Factors of the learning rate for groups of parameters, at least 0: a dict whose keys are attributes
        that are trained (``"coefs_"``, ``"intercepts_"``; with batch normalisation also ``"bn_gamma_"``
        and ``"bn_beta_"``) and whose values are a number for all arrays of the attribute, or a sequence with
        a number for each. A group that is left out has the factor 1; an array with the factor 0 does not
        change. Decoupled weight decay follows the group's learning rate.
    clip_value : float, default=None
        Maximum absolute value of every component of the gradient, the penalty included. None sets no limit.
    clip_norm : float or "auto", default=None
        Maximum norm of the whole gradient, which is scaled down to it (Pascanu et al., 2013), against
        exploding gradients. "auto" (AutoClip) takes the 10th percentile of the norms of the last 1000
        updates. None sets no limit.
    clip_layer_norm : float, default=None
        Maximum norm of the gradient of each matrix of ``coefs_`` together with its biases. None sets no
        limit.
    gradient_noise : float, default=0.0
        Variance of the annealed noise on gradients; see :class:`MLPClassifier`.
    record_gradients : bool, default=False
        Whether to record ``gradient_records_``.
    ema_decay : float, default=0.0
        Decay of an exponential moving average of the weights (and of the arrays of batch normalisation) at
        the ends of the epochs; 0 means no average. The n-th epoch after the first keeps
        ``min(ema_decay, (1 + n) / (10 + n))`` of the average (Polyak and Juditsky, 1992; Izmailov et al.,
        2018). The average is scored on the validation set and is the result of the fit. Training itself
        continues from the current weights, which callbacks see. ``partial_fit`` does not average; a warm
        start begins with the average.

    Attributes
    ----------
    coefs_ : list of ndarray
        Weights: for each recurrent layer the input-to-hidden weights, of shape (fan_in, n_gates * n_units),
        and the hidden-to-hidden weights, of shape (n_units, n_gates * n_units); then the output layer's. The
        gates are in PyTorch's order: reset, update, new for a GRU; input, forget, cell, output for an LSTM.
    intercepts_ : list of ndarray
        Biases, one array for each array of ``coefs_``.
    state_ : list of ndarray of shape (n_sequences, n_units or, for an LSTM, 2 * n_units)
        With ``stateful``, the final states of the sequences of the last call: for each layer the hidden
        state, followed by the cell state for an LSTM. An interrupted call leaves it unchanged.
    loss_ : float
        Loss of the last epoch: the mean over its targets, each with the weights before its update.
    best_loss_ : float or None
        Lowest loss of an epoch; None with ``early_stopping``.
    loss_curve_ : list of float
        Loss of each epoch.
    learning_rate_range_ : dict
        With ``learning_rate_init="auto"``: "rates", "losses" (the smoothed loss at each rate) and the rate
        "found". :class:`gdfast.LearningRateRangeDisplay` plots it.
    learning_rate_curve_ : list of float
        Learning rate of each epoch, the mean over the steps of its schedule.
    gradient_records_ : dict of str to list of list of float
        With ``record_gradients``, for each epoch and matrix: "gradient_norm" (before any clipping),
        "weight_norm" and "update_ratio", means over the epoch's updates.
    validation_scores_ : list of float or None
        Score on the validation set after each epoch; None without a validation set.
    best_validation_score_ : float or None
        Best validation score of the last fit, which is that of the final weights. With ``warm_start`` the
        initial weights count as well, with their score on the new validation set.
    validation_loss_curve_ : list of float
        Mean loss on the validation set after each epoch, without any penalty; absent without a validation
        set.
    n_iter_ : int
        Epochs of the last fit.
    t_ : int
        Number of sequences seen by the optimizer.
    n_features_in_ : int
        Number of features of a step.
    n_layers_ : int
        Number of layers, input and output included.
    n_outputs_ : int
        Number of units of the output layer.
    out_activation_ : str
        Activation of the output layer.
    classes_ : ndarray of shape (n_classes,)
        The class labels; for several labels, the indices of the outputs.

    See Also
    --------
    RNNRegressor : The same for real targets.
    MLPClassifier : The same for samples that are not sequences.

    Notes
    -----
    The cells are those of ``torch.nn.RNN``, ``GRU`` and ``LSTM`` with both of their biases; the weights are
    transposed. Results are bitwise identical for any number of threads, and the outputs for a sequence do not
    depend on the other sequences.

    Truncation follows Williams and Peng: the loss of each step counts once, in the update at the end of its
    block of k1 steps (the last block may be shorter). The backward pass uses the stored activations of the
    forward pass with the current weights. k1 = k2 >= n_steps is the same as None, bit for bit.

    References
    ----------
    J. L. Elman, "Finding structure in time", Cognitive Science 14, 1990.

    R. J. Williams and J. Peng, "An efficient gradient-based algorithm for on-line training of recurrent
    network trajectories", Neural Computation 2, 1990.

    S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9, 1997.

    F. A. Gers, J. Schmidhuber and F. Cummins, "Learning to forget", Neural Computation 12, 2000.

    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014.

    C. Tallec and Y. Ollivier, "Can recurrent neural networks warp time?", ICLR 2018.

    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", ICML
    2013.

    Examples
    --------
    Classify a sequence of ten steps by the sign of its first value:

    >>> import numpy as np
    >>> from gdfast import RNNClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((400, 10, 1))
    >>> y = X[:, 0, 0] > 0
    >>> clf = RNNClassifier((16,), learning_rate_init=0.02, max_iter=100, random_state=0).fit(X, y)
    >>> clf.score(X, y) > 0.97
    True

    Sequences of different lengths:

    >>> clf.predict([X[0], X[1, :4]]).shape
    (2,)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **Recurrent._parameter_constraints,
        **Classification._parameter_constraints,
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (64,),
        cell: str = "gru",
        *,
        activation: str = "tanh",
        per_step: bool = False,
        tbptt: tuple[int, int] | None = None,
        stateful: bool = False,
        solver: Any = "adam",
        alpha: float = 0.0,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float | str = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        n_jobs: int | None = None,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        scoring: Any = None,
        coefs_init: Any = None,
        intercepts_init: Any = None,
        keep_optimizer_state: bool = False,
        max_time: float | None = None,
        callbacks: Any = None,
        resume: Any = None,
        schedule: Any = None,
        l1_ratio: float = 0.0,
        weight_decay: float = 0.0,
        weight_decay_schedule: Any = None,
        learning_rate_factors: dict[str, Any] | None = None,
        clip_value: float | None = None,
        clip_norm: float | str | None = None,
        clip_layer_norm: float | None = None,
        gradient_noise: float = 0.0,
        record_gradients: bool = False,
        ema_decay: float = 0.0,
    ) -> None:
        self._store(locals())

    @checks_arguments
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Fit the model to sequences and their targets.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays
            The sequences; a list has one array of shape (n_steps, n_features) for each, of any length: no
            padding is needed. float32 and float64 keep their dtype, all others become float64. A C-contiguous
            array is not copied.
        y : array-like of shape (n_sequences,) or (n_sequences, n_outputs)
            Class labels, or an indicator matrix for several labels. With ``per_step`` one for each step: of
            shape (n_sequences, n_steps) or (n_sequences, n_steps, n_outputs) or, where X is a list, a list of
            arrays. Without it, a warning is raised if there are as many labels as steps.
        sample_weight : array-like of shape (n_sequences,), default=None
            Weight of each target's loss in the mean over an update. With ``per_step`` the weights may also
            have the shape of y, one for each step: zero excludes a step's target. An update whose weights sum
            to zero is skipped.
        X_val, y_val, sample_weight_val : as X, y and sample_weight, default=None
            Validation set. With ``early_stopping`` it replaces the fraction of the training data; without,
            its loss and score are recorded and the best weights are kept, while the training loss decides
            when to stop.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If an argument has the wrong type.
        ValueError
            If a sequence is empty or not finite, targets or weights do not match the sequences, or arguments
            contradict each other (``tbptt`` with k1 > k2); or if training diverges without a validation set,
            in which case the weights are those of the last epoch in which they were finite. With a validation
            set, divergence gives a ConvergenceWarning.

        Warns
        -----
        ConvergenceWarning
            If training has reached ``max_iter`` or ``max_time``. The message goes on if the scales of the
            inputs differ widely, or if nothing has been learned of targets far from one.
        PoorFitWarning
            If training has ended for lack of improvement, or has converged, with a loss hardly below that of
            the best constant prediction, or with a large loss and inputs on widely different scales.
        """
        self._fit_sequences(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return self

    @checks_arguments
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch on the given sequences, with the optimizer state of the previous call.

        With ``stateful`` they start from the final states of the previous call.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays
            The sequences; a list has one array of shape (n_steps, n_features) for each, of any length.
        y : array-like, as for :meth:`fit`
            Class labels, or an indicator matrix for several labels.
        sample_weight : array-like, as for :meth:`fit`, default=None
            Weights.
        classes : array-like of shape (n_classes,), default=None
            All classes that occur in any call. Required in the first call only; y need not contain all of
            them.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If the first call has no ``classes``, y holds another class, ``early_stopping`` is True,
            ``class_weight`` is "balanced", with ``stateful`` the number of sequences has changed, or ``fit``
            would refuse the data.
        KeyboardInterrupt
            By Ctrl-C; the weights are those of the last whole step.
        """
        self._partial_fit_sequences(X, y, sample_weight, classes)
        return self

    @overload
    def predict(self, X: Any, initial_state: Any = None, return_state: Literal[False] = False) -> Array: ...
    @overload
    def predict(
        self, X: Any, initial_state: Any = None, *, return_state: Literal[True]
    ) -> tuple[Array, list[Array]]: ...
    @overload
    def predict(
        self, X: Any, initial_state: Any, return_state: Literal[True]
    ) -> tuple[Array, list[Array]]: ...
    def predict(self, X: Any, initial_state: Any = None, return_state: bool = False) -> Any:
        """Predict the class, or the labels, of every sequence or every step.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays
            The sequences; a list has one array of shape (n_steps, n_features) for each, of any length.
        initial_state : list of array-like, default=None
            Initial states of the sequences, as returned by an earlier call, or ``state_``. None starts from
            zeros.
        return_state : bool, default=False
            Whether to return the final states of the sequences as well.

        Returns
        -------
        y : ndarray of shape (n_sequences,) or (n_sequences, n_outputs)
            The class labels, or an indicator matrix; with ``per_step`` of shape (n_sequences, n_steps) or
            (n_sequences, n_steps, n_outputs), or a list of arrays where X is one.
        state : list of ndarray
            With ``return_state``: the final states of the sequences, as in ``state_``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If ``fit`` would refuse X, or X has another number of features; if ``initial_state`` does not have
            the shapes of a state, or is not finite.
        """
        return self._predict(X, initial_state, return_state, self._predictions)

    @overload
    def predict_proba(
        self, X: Any, initial_state: Any = None, return_state: Literal[False] = False
    ) -> Array: ...
    @overload
    def predict_proba(
        self, X: Any, initial_state: Any = None, *, return_state: Literal[True]
    ) -> tuple[Array, list[Array]]: ...
    @overload
    def predict_proba(
        self, X: Any, initial_state: Any, return_state: Literal[True]
    ) -> tuple[Array, list[Array]]: ...
    def predict_proba(self, X: Any, initial_state: Any = None, return_state: bool = False) -> Any:
        """Probability of every class, or of every label, for every sequence or every step.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays
            The sequences; a list has one array of shape (n_steps, n_features) for each, of any length.
        initial_state : list of array-like, default=None
            Initial states of the sequences, as returned by an earlier call, or ``state_``. None starts from
            zeros.
        return_state : bool, default=False
            Whether to return the final states of the sequences as well.

        Returns
        -------
        y_prob : ndarray of shape (n_sequences, n_classes)
            Columns in the order of ``classes_``; with ``per_step`` of shape (n_sequences, n_steps,
            n_classes), or a list of arrays where X is one.
        state : list of ndarray
            With ``return_state``: the final states of the sequences, as in ``state_``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If ``fit`` would refuse X, or X has another number of features; if ``initial_state`` does not have
            the shapes of a state, or is not finite.
        """
        return self._predict(X, initial_state, return_state, self._probabilities)

    @overload
    def predict_log_proba(
        self, X: Any, initial_state: Any = None, return_state: Literal[False] = False
    ) -> Array: ...
    @overload
    def predict_log_proba(
        self, X: Any, initial_state: Any = None, *, return_state: Literal[True]
    ) -> tuple[Array, list[Array]]: ...
    @overload
    def predict_log_proba(
        self, X: Any, initial_state: Any, return_state: Literal[True]
    ) -> tuple[Array, list[Array]]: ...
    def predict_log_proba(self, X: Any, initial_state: Any = None, return_state: bool = False) -> Any:
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays
            The sequences; a list has one array of shape (n_steps, n_features) for each, of any length.
        initial_state : list of array-like, default=None
            Initial states of the sequences, as returned by an earlier call, or ``state_``. None starts from
            zeros.
        return_state : bool, default=False
            Whether to return the final states of the sequences as well.

        Returns
        -------
        log_y_prob : ndarray of shape (n_sequences, n_classes)
            The shape is that of :meth:`predict_proba`.
        state : list of ndarray
            With ``return_state``: the final states of the sequences, as in ``state_``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If ``fit`` would refuse X, or X has another number of features; if ``initial_state`` does not have
            the shapes of a state, or is not finite.
        """

        def log_probabilities(outputs: Array) -> Array:
            return logarithms(self._probabilities(outputs))

        return self._predict(X, initial_state, return_state, log_probabilities)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy over sequences or, with ``per_step``, over all steps.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays
            The sequences.
        y : array-like, as for :meth:`fit`
            The true targets.
        sample_weight : array-like of shape (n_sequences,), default=None
            Sample weights; with ``per_step`` there may be one for each step.

        Returns
        -------
        score : float
            :func:`sklearn.metrics.accuracy_score`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If ``fit`` would refuse X, X has another number of features, or y does not match X.
        """
        return self._score_sequences(X, y, sample_weight)
