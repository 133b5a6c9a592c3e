"""RNNClassifier: class labels for sequences, or for each of their steps."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.metrics import accuracy_score

from gdfast.estimators._recurrent import Recurrent
from gdfast.estimators._sequences import check_sequences, check_targets
from gdfast.estimators.classifier import MLPClassifier
from gdfast.training.arrays import Array


class RNNClassifier(Recurrent, MLPClassifier):
    """Recurrent network classifier for sequences.

    Minimizes the cross-entropy by stochastic gradient descent; gradients come from backpropagation through
    time, whole or truncated.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(64,)
        Units of each recurrent layer; each reads the states of the one below.
    cell : {"elman", "gru", "lstm"}, default="gru"
        Kind of the recurrent layers: Elman's (1990), with ``activation``; gated units (Cho et al., 2014),
        whose reset is applied after the product with the state, as in PyTorch; long short-term memory
        (Hochreiter and Schmidhuber, 1997) with forget gates (Gers et al., 2000).
    activation : {"tanh", "relu"}, default="tanh"
        Activation of Elman's layers; the others have their own.
    per_step : bool, default=False
        Whether there is a target for each step, or one for each sequence, which is told from its last step.
    tbptt : tuple of two int (k1, k2) or None, default=None
        Truncation of backpropagation through time: with a target for each step, an update every k1 steps,
        whose gradient reaches back over the last k2 steps, k1 <= k2; with one target for each sequence, one
        update that reaches back k2 steps. None reaches back to the beginning. Memory grows with k2, not with
        the length of sequences.
    stateful : bool, default=False
        Whether each call of ``partial_fit`` begins in the states in which the sequences of the last call have
        ended, so that it goes on with them, sequence by sequence. In ``fit`` every epoch begins with zeros.
    solver : str or gdfast.optim.Optimizer, default="adam"
        "sgd" (with momentum), "adam", "adagrad", "rmsprop", "adadelta", "adamw", "nadam", "adamax", "lion",
        "rprop", or an object of :mod:`gdfast.optim` with hyper-parameters of its own.
    alpha : float, default=0.0
        Strength of the L2 penalty: ``alpha / 2`` times the squared weights, divided by the targets (their
        weights) that an update sees. Biases are not penalized.
    batch_size : int or "auto", default="auto"
        Sequences of a batch; "auto" is ``min(200, n_sequences)``.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Schedule of the learning rate, used by sgd only: ``learning_rate_init``; the same divided by
        ``(t_ + 1) ** power_t``; or the same divided by 5 whenever training stops improving.
    learning_rate_init : float, default=0.001
        The learning rate at the beginning.
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Most epochs of a fit.
    shuffle : bool, default=True
        Whether each epoch takes the sequences in a new order.
    random_state : int, RandomState instance or None, default=None
        Source of the first weights, the validation split and the order of sequences.
    tol : float, default=1e-4
        Improvement of the loss, or of the validation score, that counts as one.
    verbose : bool, default=False
        Whether to print the loss of each epoch.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last one, with a new optimizer.
    momentum : float, default=0.9
        Momentum of sgd, between 0 and 1.
    nesterovs_momentum : bool, default=True
        Whether sgd's momentum is Nesterov's.
    early_stopping : bool, default=False
        Whether to set sequences aside (or take ``X_val``), stop when the score on them no longer improves,
        and keep the weights that scored best.
    validation_fraction : float, default=0.1
        Share of the sequences to set aside.
    beta_1 : float, default=0.9
        Decay of the first moment of ``solver="adam"``, in [0, 1). Other solvers that have such moments take
        ``beta_1``, ``beta_2`` and ``epsilon`` from an object of :mod:`gdfast.optim` only.
    beta_2 : float, default=0.999
        Decay of Adam's second moment, in [0, 1).
    epsilon : float, default=1e-8
        Added to the root of Adam's second moment.
    n_iter_no_change : int, default=10
        Epochs without improvement that are let pass: after one more training stops (or "adaptive" cuts the
        learning rate).
    n_jobs : int, default=None
        Most threads to use, in ``fit`` and ``predict``; -1 means one for each processor. None uses as many as
        the work pays for. The results are the same for any number.
    class_weight : dict, list of dict or "balanced", default=None
        Weights of the classes, that multiply ``sample_weight``, see :class:`MLPClassifier`.
    label_smoothing : float, default=0.0
        Share of each label that is spread over all classes while training, in [0, 1).
    scoring : str, callable or None, default=None
        Score on the validation set, that decides which weights are best and when ``early_stopping`` stops:
        the name of one of scikit-learn's scorers, a callable ``scorer(estimator, X, y)``, "loss" for the
        validation loss, or None for the accuracy. With ``per_step`` only the last two.
    coefs_init : list of array-like, default=None
        Weights for a fit to begin with, copied, in the shapes of ``coefs_``. None draws them: those from
        below uniformly by Glorot and Bengio (2010), those from the last state orthogonal, gate by gate.
    intercepts_init : list of array-like, default=None
        Biases for a fit to begin with, copied. None begins with zeros, and with one for an LSTM's forget
        gates.
    keep_optimizer_state : bool, default=False
        Whether a ``fit`` with ``warm_start`` goes on exactly where the last one was: with the optimizer's
        step, moments and learning rate and, for the same number of sequences, their order and the validation
        split; but for what a validation set has put back, and for a schedule that spans the whole training,
        which is the fit at hand for it.
    max_time : float, default=None
        Seconds after which ``fit`` ends with the epoch at hand. None sets no limit.
    callbacks : list of object, default=None
        Called by ``fit``, see :class:`MLPClassifier`.
    schedule : str, gdfast.schedules.Schedule or callable, default=None
        How the learning rate changes, whatever the solver, see :class:`MLPClassifier`. Its steps are updates:
        with ``tbptt`` and a target for each step there are several to a batch, as many as the longest of all
        sequences has; where a batch has fewer, the schedule's last steps of that batch are left out.
    l1_ratio : float, default=0.0
        Share of L1 in the penalty of strength ``alpha``, in [0, 1].
    weight_decay : float, default=0.0
        Decoupled decay: each update shrinks the weights by the learning rate times this.
    clip_value : float, default=None
        Largest magnitude of a gradient's components: larger ones are cut. None sets no limit.
    clip_norm : float or "auto", default=None
        Largest norm of the whole gradient, which is scaled down to it (Pascanu et al., 2013): what keeps
        recurrent networks from exploding. "auto" adapts the limit to the norms of the last updates. None sets
        no limit.
    clip_layer_norm : float, default=None
        The same for the gradient of each matrix of ``coefs_`` with its biases. None sets no limit.
    gradient_noise : float, default=0.0
        Annealed noise on gradients, see :class:`MLPClassifier`.
    record_gradients : bool, default=False
        Whether to keep the norms of gradients, weights and updates of each epoch in ``gradient_records_``.
    ema_decay : float, default=0.0
        Averages the weights over epochs: what is scored on a validation set and what stays is an exponential
        moving average of the weights (and of what batch normalisation keeps) at the epochs' ends, of which
        ``min(ema_decay, (1 + n) / (10 + n))`` is left after the n-th further epoch (Polyak and Juditsky,
        1992; Izmailov et al., 2018). Training itself goes on from the weights as they are, and these are what
        callbacks see. ``partial_fit`` does not average; a warm start goes on from the average.

    Attributes
    ----------
    coefs_ : list of ndarray
        Weights: for each recurrent layer those from below, of shape (fan_in, n_gates * n_units), and those
        from its own last state, of shape (n_units, n_gates * n_units), and then the output layer's. The gates
        side by side are in PyTorch's order: a GRU's reset, update, new; an LSTM's input, forget, cell,
        output.
    intercepts_ : list of ndarray
        Biases that go with each of them.
    state_ : list of ndarray of shape (n_sequences, n_units or, for an LSTM, 2 * n_units)
        With ``stateful``, where the sequences of the last call have ended: for each layer the hidden state,
        and an LSTM's cell state beside it. A call that is interrupted leaves it as it was.
    loss_ : float
        Loss of the last epoch: the mean over its targets, each with the weights before its update.
    best_loss_ : float or None
        Least loss of an epoch; None with ``early_stopping``.
    loss_curve_ : list of float
        Loss of each epoch.
    learning_rate_curve_ : list of float
        Learning rate of each epoch, the mean over the steps of its schedule.
    gradient_records_ : dict of str to list of list of float
        With ``record_gradients``, of each epoch and matrix: "gradient_norm" (before any clipping),
        "weight_norm" and "update_ratio", means over the epoch's updates.
    validation_scores_ : list of float or None
        Score on the validation set after each epoch; None without a validation set.
    best_validation_score_ : float or None
        The best of the last fit, whose weights are left. With ``warm_start`` the weights that it began with
        take part, scored anew on its validation set.
    validation_loss_curve_ : list of float
        Mean loss on the validation set after each epoch, without any penalty; absent without a validation
        set.
    n_iter_ : int
        Epochs of the last fit.
    t_ : int
        Sequences that the optimizer has seen.
    n_features_in_ : int
        Features of a step.
    n_layers_ : int
        Layers, counting input and output.
    n_outputs_ : int
        Units of the output layer.
    out_activation_ : str
        Their activation.
    classes_ : ndarray of shape (n_classes,)
        Class labels, or numbers of the outputs for several labels.

    See Also
    --------
    RNNRegressor : The same for real targets.
    MLPClassifier : For samples that are no sequences.

    Notes
    -----
    The cells are those of ``torch.nn.RNN``, ``GRU`` and ``LSTM`` with both of their biases: transposed, its
    weights are these weights. Results have the same bits for any number of threads, and a sequence's outputs
    do not depend on what other sequences there are.

    Truncation is that of Williams and Peng: each step's loss enters once, in the update that ends its block
    of k1 steps (a last short block has an update, too); activations that were stored on the way forward are
    used with the weights of the update on the way back. k1 = k2 >= n_steps is the same as None, bit for bit.

    References
    ----------
    J. L. Elman, "Finding structure in time", Cognitive Science 14, 1990.

    R. J. Williams and J. Peng, "An efficient gradient-based algorithm for on-line training of recurrent
    network trajectories", Neural Computation 2, 1990.

    S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9, 1997.

    F. A. Gers, J. Schmidhuber and F. Cummins, "Learning to forget", Neural Computation 12, 2000.

    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014.

    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", ICML
    2013.

    Examples
    --------
    Was the first number positive? (Ten steps later.)

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
        **MLPClassifier._parameter_constraints,
        **Recurrent._parameter_constraints,
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
        learning_rate_init: float = 0.001,
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
        schedule: Any = None,
        l1_ratio: float = 0.0,
        weight_decay: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | str | None = None,
        clip_layer_norm: float | None = None,
        gradient_noise: float = 0.0,
        record_gradients: bool = False,
        ema_decay: float = 0.0,
    ) -> None:
        self._store(locals())

    @_fit_context(prefer_skip_nested_validation=True)
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
            The sequences; a list has one array of shape (n_steps, n_features) for each, of any length:
            nothing is padded. float32 and float64 are trained in as they are, all else as float64. A
            C-contiguous array is not copied.
        y : array-like of shape (n_sequences,) or (n_sequences, n_outputs)
            Class labels, or an indicator matrix for several labels. With ``per_step`` one for each step: of
            shape (n_sequences, n_steps) or (n_sequences, n_steps, n_outputs) or, where X is a list, a list of
            arrays. Without it, as many labels as there are steps are warned of.
        sample_weight : array-like of shape (n_sequences,), default=None
            Weight of each target's loss in the mean over an update's. With ``per_step`` a weight for each
            step can be given in the shape of y, too: zero leaves a step's target out. An update whose weights
            sum to zero is skipped.
        X_val, y_val, sample_weight_val : as X, y and sample_weight, default=None
            A validation set of your own: with ``early_stopping``, in place of the one that would be set
            aside; without, loss and score on it are recorded and the best weights kept, while the training
            loss decides when to stop.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If an argument is of a kind that it cannot be.
        ValueError
            If a sequence is empty or not finite, targets or weights do not fit the sequences, arguments do
            not fit one another (``tbptt`` with k1 > k2); or if training diverged without a validation set, in
            which case the weights are those of the last epoch in which they were finite. With one it ends
            with a ConvergenceWarning.
        """
        super().fit(X, y, sample_weight, X_val=X_val, y_val=y_val, sample_weight_val=sample_weight_val)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Go on for one epoch over the given sequences, with the optimizer's state of the last call.

        With ``stateful`` they go on where the sequences of the last call have ended.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays
            The sequences; a list has one array of shape (n_steps, n_features) for each, of any length.
        y : array-like, as for :meth:`fit`
            Class labels, or an indicator matrix for several labels.
        sample_weight : array-like, as for :meth:`fit`, default=None
            Weights.
        classes : array-like of shape (n_classes,), default=None
            All classes that any call will see. Needed by the first call only; a later y need not hold all.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If the first call has no ``classes``, y holds another class, ``early_stopping`` is True,
            ``class_weight`` is "balanced", with ``stateful`` the number of sequences has changed, or the data
            are of a kind that ``fit`` refuses.
        """
        super().partial_fit(X, y, sample_weight, classes)
        return self

    def _labels(self, X: Any, y: Any, classes: Any) -> Any:
        targets = check_targets(y, check_sequences(X), per_step=self.per_step, numeric=False)
        return super()._labels(X, targets, classes)

    def _score_of(self, y: Any, predicted: Any, sample_weight: Array | None) -> float:
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def predict(self, X: Any, initial_state: Any = None, return_state: bool = False) -> Any:
        """Predict the class, or the labels, of every sequence or every step.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays
            The sequences; a list has one array of shape (n_steps, n_features) for each, of any length.
        initial_state : list of array-like, default=None
            Where each sequence begins: the states that an earlier call has returned, or ``state_``. None
            begins with zeros.
        return_state : bool, default=False
            Whether to return the states in which the sequences end, too.

        Returns
        -------
        y : ndarray of shape (n_sequences,) or (n_sequences, n_outputs)
            The class labels, or an indicator matrix; with ``per_step`` of shape (n_sequences, n_steps) or
            (n_sequences, n_steps, n_outputs), or a list of arrays where X is one.
        state : list of ndarray
            With ``return_state``: the states in which the sequences end, as in ``state_``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If X is of a kind that ``fit`` refuses, or has other features; if ``initial_state`` has not the
            shapes of a state, or is not finite.
        """
        return self._predict(X, initial_state, return_state, self._predictions)

    def predict_proba(self, X: Any, initial_state: Any = None, return_state: bool = False) -> Any:
        """Probability of every class, or of every label, for every sequence or every step.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays
            The sequences; a list has one array of shape (n_steps, n_features) for each, of any length.
        initial_state : list of array-like, default=None
            Where each sequence begins: the states that an earlier call has returned, or ``state_``. None
            begins with zeros.
        return_state : bool, default=False
            Whether to return the states in which the sequences end, too.

        Returns
        -------
        y_prob : ndarray of shape (n_sequences, n_classes)
            Columns in the order of ``classes_``; with ``per_step`` of shape (n_sequences, n_steps,
            n_classes), or a list of arrays where X is one.
        state : list of ndarray
            With ``return_state``: the states in which the sequences end, as in ``state_``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If X is of a kind that ``fit`` refuses, or has other features; if ``initial_state`` has not the
            shapes of a state, or is not finite.
        """
        return self._predict(X, initial_state, return_state, self._probabilities)

    def predict_log_proba(self, X: Any, initial_state: Any = None, return_state: bool = False) -> Any:
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays
            The sequences; a list has one array of shape (n_steps, n_features) for each, of any length.
        initial_state : list of array-like, default=None
            Where each sequence begins: the states that an earlier call has returned, or ``state_``. None
            begins with zeros.
        return_state : bool, default=False
            Whether to return the states in which the sequences end, too.

        Returns
        -------
        log_y_prob : ndarray of shape (n_sequences, n_classes)
            As the probabilities.
        state : list of ndarray
            With ``return_state``: the states in which the sequences end, as in ``state_``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If X is of a kind that ``fit`` refuses, or has other features; if ``initial_state`` has not the
            shapes of a state, or is not finite.
        """

        def log_probabilities(outputs: Array) -> Array:
            with np.errstate(divide="ignore"):
                logarithms: Array = np.log(self._probabilities(outputs))
            return logarithms

        return self._predict(X, initial_state, return_state, log_probabilities)
