"""MLPClassifier: class labels, one or several for a sample, from the outputs of a network."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from typing import Any, ClassVar, Self

from gdfast._constraints import available_if, checks_arguments
from gdfast.estimators._classification import Classification
from gdfast.estimators._feed_forward import FeedForward
from gdfast.prediction.labels import logarithms
from gdfast.training.arrays import Array


class MLPClassifier(Classification, FeedForward):
    """Multilayer perceptron classifier.

    Minimizes the log-loss by stochastic gradient descent or L-BFGS. The arguments, attributes and, for the
    same ``random_state``, the results are those of :class:`sklearn.neural_network.MLPClassifier`.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Number of units in each hidden layer. An empty sequence makes the model logistic regression.
    activation : str or sequence of str, default="relu"
        Activation of the hidden layers: one for all of them, or one for each. "identity", "logistic", "tanh",
        "relu", "leaky_relu", "elu", "selu", "gelu" (by the error function), "gelu_tanh" (its approximation),
        "silu", "mish", "softplus", "softsign" or "hard_tanh".
    solver : str or optimizer, default="adam"
        "lbfgs" (SciPy's L-BFGS-B), "sgd" (with momentum) and "adam" as scikit-learn has them; "adagrad",
        "rmsprop", "adadelta", "adamw", "nadam", "adamax", "lion", "rprop", "muon", "soap", "kfac",
        "schedulefree" or "prodigy" (without a learning rate to choose) with the hyper-parameters that
        :mod:`gdfast.optim` has for them and the learning rate ``learning_rate_init``; or an object of that
        module, with its own values. These are stochastic, but for lbfgs. "newton-cg" uses all samples at
        once, too, and needs fewer iterations: a truncated Newton method in a trust region (Steihaug, 1983),
        over exact products with the Hessian, its variables scaled by the diagonal of the Gauss-Newton matrix
        (not for the losses "absolute_error" and "quantile", which have no second derivative). "lm" is
        Levenberg and Marquardt's method, for regression with ``loss="squared_error"`` only and up to 10,000
        parameters (Hagan and Menhaj, 1994): Gauss-Newton steps with a damping of 1e-3 at first, which is
        multiplied by 10 until a step lowers the loss, and by 0.1 after it. Iterations take time and memory by
        the square of the number of parameters, and more, but on small networks they are few, and the result
        is precise. "annealing" is simulated annealing, which needs no gradient.
    alpha : float, default=0.0001
        Strength of the L2 penalty: ``alpha / 2`` times the squared weights, divided by the number of samples
        in the batch (the sum of their weights). Intercepts are not penalized.
    batch_size : int or "auto", default="auto"
        Number of samples in a batch; "auto" is ``min(200, n_samples)``. Used by stochastic solvers only.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Schedule of the learning rate, used by sgd only: ``learning_rate_init`` unchanged; divided by
        ``(t_ + 1) ** power_t``; or divided by 5 whenever training stops improving.
    learning_rate_init : float or "auto", default=0.001
        Initial learning rate. Used by stochastic solvers only. "auto" finds it by a range test (Smith, 2017):
        before training, a copy of the weights is trained for one pass, at least 100 batches, with a rate that
        rises from 1e-6 to 30. The rate found is a third of the first one at which the smoothed loss has
        fallen by 80 % of its whole descent; see ``learning_rate_range_``.
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Maximum number of epochs (iterations, for solvers that are not stochastic) of a fit.
    shuffle : bool, default=True
        Whether to shuffle the samples in each epoch. Used by stochastic solvers only.
    random_state : int, RandomState instance or None, default=None
        Random numbers of the initial weights, the validation split and the order of samples.
    tol : float, default=1e-4
        Smallest change of the loss, or of the validation score, that counts as an improvement. Solvers that
        use all samples at once stop when no component of the gradient exceeds ``tol``; for a fit to the last
        digits set it to some 1e-8.
    verbose : bool, default=False
        Whether to print the loss of each epoch; lbfgs prints nothing but validation scores.
    warm_start : bool, default=False
        Whether ``fit`` starts from the weights of the previous fit, with a new optimizer.
    momentum : float, default=0.9
        Momentum of sgd, between 0 and 1.
    nesterovs_momentum : bool, default=True
        Whether sgd uses Nesterov momentum.
    early_stopping : bool, default=False
        Whether to set samples aside (or use ``X_val``), stop when the score on them no longer improves, and
        keep the weights with the best score. lbfgs requires ``X_val`` for it.
    validation_fraction : float, default=0.1
        Fraction of the samples to set aside for validation.
    beta_1 : float, default=0.9
        Decay of the first moment of ``solver="adam"``, in [0, 1). Other solvers with moments take ``beta_1``,
        ``beta_2`` and ``epsilon`` from an object of :mod:`gdfast.optim` only.
    beta_2 : float, default=0.999
        Decay of Adam's second moment, in [0, 1).
    epsilon : float, default=1e-8
        Added to the square root of Adam's second moment.
    n_iter_no_change : int, default=10
        Number of epochs without improvement that are tolerated: after one more, training stops (or "adaptive"
        reduces the learning rate). Solvers that are not stochastic apply it with ``early_stopping`` only.
    max_fun : int, default=15000
        Maximum number of evaluations of the loss by lbfgs.
    n_jobs : int, default=None
        Maximum number of threads in ``fit`` and ``predict``; -1 means one for each processor. None uses as
        many as the amount of work justifies. The results do not depend on the number of threads.
    class_weight : dict, list of dict or "balanced", default=None
        Weights of the classes, which multiply ``sample_weight``: a dict of class to weight, for several
        labels a list with one dict for each; or "balanced", inversely proportional to their weighted
        frequencies. Like ``sample_weight``, they count in the score on samples that ``early_stopping`` sets
        aside.
    label_smoothing : float, default=0.0
        Fraction of each label that is distributed evenly over all classes in training (over 0 and 1, for two
        classes and for several labels), in [0, 1). Scores and losses on a validation set use the labels
        without smoothing.
    activation_params : dict of str to float, default=None
        Parameters of the activations, by name: the slope of "leaky_relu" for negative inputs (0.01 by
        default) and the alpha of "elu" (1.0 by default).
    scoring : str, callable or None, default=None
        Score on the validation set, which decides which weights are best and when ``early_stopping`` stops:
        the name of one of scikit-learn's scorers, a callable ``scorer(estimator, X, y)`` (which must also
        take ``sample_weight`` if samples are weighted), "loss" for the validation loss, or None for the
        accuracy.
    coefs_init : list of array-like of shape (fan_in, fan_out), default=None
        Initial weights of each layer, copied. None draws them by ``init``. Random numbers are drawn even if
        weights are given, so that the order of samples depends on ``random_state`` only.
    intercepts_init : list of array-like of shape (fan_out,), default=None
        Initial biases of each layer, copied. None takes those of ``init``.
    keep_optimizer_state : bool, default=False
        Whether a ``fit`` with ``warm_start`` continues exactly where the previous one ended: with the
        optimizer's moments, step count and learning rate and, for the same number of samples, the order of
        samples and the validation split. Two fits of 50 epochs then equal one of 100, bit for bit, unless a
        validation set has restored earlier weights in between or a schedule spans the whole training (such a
        schedule restarts with each fit). lbfgs does not use it; newton-cg, lm and annealing keep the
        validation split, and begin anew.
    max_time : float, default=None
        Time limit of a fit in seconds. The fit ends, with a ConvergenceWarning, after the epoch (or
        iteration) in which the limit is reached. None sets no limit.
    callbacks : list of objects, default=None
        Objects that the fit calls, with any of the methods ``on_train_begin(est)``, ``on_train_end(est)``,
        ``on_gradient(est, gradients)``, ``on_epoch_begin(est, epoch, logs)`` and
        ``on_epoch_end(est, epoch, logs)``. The last two may return True to stop training. See
        :mod:`gdfast.callbacks`.
    resume : str or path-like, default=None
        Path of a checkpoint, see :class:`gdfast.callbacks.ModelCheckpoint`. If there is one, ``fit`` goes on
        with its run, and the result is that of a fit without interruption; otherwise it begins. Data and all
        arguments that change a step must be those of the run: a ValueError names what is not. ``max_iter``
        may be larger. ``partial_fit`` takes no notice of it.
    schedule : str, schedule or callable, default=None
        Learning-rate schedule for any stochastic solver: an object of :mod:`gdfast.schedules`, the name of
        one that needs no argument, or a function that maps the epoch, from 0, to a factor. None uses
        ``learning_rate``.
    init : str or (str, float), default="sklearn"
        Distribution of the initial weights: "sklearn" (uniform by Glorot and Bengio, for the biases, too,
        with a narrower range for layers with "logistic"), "zeros", "glorot_normal", "glorot_uniform",
        "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "normal", "uniform" or "orthogonal". All
        but "sklearn" set the biases to zero. The last three may be given with a scale, as in
        ``("normal", 0.05)``: the standard deviation, the bound or the factor.
    l1_ratio : float, default=0.0
        Fraction of ``alpha`` that is an L1 penalty, ``alpha * l1_ratio`` times the absolute weights (an
        elastic net); the rest is L2.
    weight_decay : float, default=0.0
        Decoupled weight decay: every step also multiplies the weights (not the intercepts) by
        ``1 - learning_rate * weight_decay``. ``solver="adamw"`` uses 0.01 if this is 0.
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
    dropout : float or sequence of float, default=0.0
        Probability of setting a value to zero in training; the others are multiplied by
        ``1 / (1 - dropout)``. One number for all hidden layers, or one for the inputs and one for each hidden
        layer.
    dropout_schedule : str, schedule or callable, default=None
        Schedule of ``dropout``, in any of the forms of ``schedule``: in each epoch ``dropout`` is what the
        schedule makes of it as it makes learning rates, the mean over the epoch's steps. Several rates are
        multiplied by what it makes of 1. None keeps them constant.
    batch_norm : bool, default=False
        Whether the pre-activations of each hidden layer are normalised over the batch. Prediction uses the
        running mean and variance.
    bn_momentum : float, default=0.1
        Weight of the last batch in the running mean and variance.
    bn_epsilon : float, default=1e-5
        Added to the variance in batch normalisation.
    clip_value : float, default=None
        Maximum absolute value of every component of the gradient, the penalty included. None sets no limit.
    clip_norm : float or "auto", default=None
        Maximum norm of the whole gradient, which is scaled down to it. "auto" (AutoClip) takes the 10th
        percentile of the norms of the last 1000 steps. None sets no limit.
    clip_layer_norm : float, default=None
        Maximum norm of each layer's gradient. Components are clipped first, then layers, then the whole
        gradient. None sets no limit.
    backprop_depth : int or callable, default=None
        Number of weight layers, counted from the output, through which gradients are backpropagated; the
        layers below stay unchanged. A callable of the epoch, from 0, may return a depth that grows; a call of
        ``partial_fit`` is an epoch. None means all layers.
    gradient_noise : float, default=0.0
        Variance of the normal noise that is added to the gradient of the first step; it decays as
        ``step ** -0.55``.
    record_gradients : bool, default=False
        Whether to record ``gradient_records_``.
    ema_decay : float, default=0.0
        Decay of an exponential moving average of the weights (and of the arrays of batch normalisation) at
        the ends of the epochs; 0 means no average. The n-th epoch after the first keeps
        ``min(ema_decay, (1 + n) / (10 + n))`` of the average (Polyak and Juditsky, 1992; Izmailov et al.,
        2018). The average is scored on the validation set and is the result of the fit. Training itself
        continues from the current weights, which callbacks see. ``partial_fit`` does not average; a warm
        start begins with the average.
    annealing_params : dict, default=None
        For ``solver="annealing"``: "cooling" ("geometric", "linear" or "logarithmic"), "initial_temp",
        "final_temp" and "step_size", the scale of the first proposals (0.1). An iteration makes 100
        proposals. It minimizes the training loss or, if ``scoring`` is given, minus that score on the
        training data.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels.
    coefs_ : list of ndarrays of shape (fan_in, fan_out)
        Weights of each layer, in X's dtype. They may be edited or replaced: prediction and further training
        use the current values.
    intercepts_ : list of ndarrays of shape (fan_out,)
        Biases of each layer.
    loss_ : float
        Loss of the last epoch: the mean over its batches, each with the weights before its step. With lbfgs,
        newton-cg and lm, the loss after the last iteration; with annealing, the lowest loss of the walk.
    best_loss_ : float or None
        Lowest loss of an epoch or iteration; None with ``early_stopping``, absent with lbfgs.
    loss_curve_ : list of float
        Loss of each epoch or iteration, with annealing the lowest loss so far; absent with lbfgs.
    validation_scores_ : list of float or None
        Score (see ``scoring``) on the validation set after each epoch; None without a validation set, absent
        with lbfgs unless there is ``X_val``.
    best_validation_score_ : float or None
        Best validation score of the last fit, which is that of the final weights. With ``warm_start`` the
        initial weights count as well, with their score on the new validation set.
    validation_loss_curve_ : list of float
        Mean loss on the validation set after each epoch, without any penalty; absent without a validation
        set.
    learning_rate_range_ : dict
        With ``learning_rate_init="auto"``: "rates", "losses" (the smoothed loss at each rate) and the rate
        "found". :class:`gdfast.LearningRateRangeDisplay` plots it.
    learning_rate_curve_ : list of float
        Learning rate of each epoch, the mean over its steps; empty with other solvers than stochastic ones,
        absent with lbfgs.
    gradient_records_ : dict of str to list of lists of float
        With ``record_gradients``, for each epoch and layer: "gradient_norm" (before any clipping),
        "weight_norm" and "update_ratio" (the norm of a step over that of the weights), means over the epoch's
        steps; NaN for a layer that ``backprop_depth`` left out.
    bn_gamma_, bn_beta_, bn_mean_, bn_var_ : list of ndarrays of shape (fan_out,)
        With ``batch_norm``, for each hidden layer: scale and shift of the normalised pre-activations, and
        their running mean and variance.
    embeddings_ : list of ndarrays of shape (n_categories, n_inputs)
        Where X was a table with embedded columns, see :class:`gdfast.preprocessing.TableEncoder`: for each of
        them the inputs of each category. A step trains those of the categories that its batch has.
    n_iter_ : int
        Number of epochs (iterations, for solvers that are not stochastic) of the last fit.
    t_ : int
        Number of samples seen by the optimizer.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features seen during fit; only if X has names that are all strings.
    n_layers_ : int
        Number of layers, input and output included.
    n_outputs_ : int
        Number of units of the output layer.
    out_activation_ : str
        Activation of the output layer: "softmax", or "logistic" for two classes and for several labels.

    See Also
    --------
    MLPRegressor : The same for real targets.
    gdfast.kernels : Forward pass, loss and gradient as functions on NumPy arrays.

    Notes
    -----
    Training that diverges raises a ValueError and keeps the weights of the last epoch in which they were
    finite; with a validation set it ends with a ConvergenceWarning and a score of NaN instead. Ctrl-C ends a
    fit with a warning and keeps the weights of the last complete step. With a validation set
    (``early_stopping`` or ``X_val``), the weights with the best score are kept, however the fit ends.

    Callbacks of scikit-learn (1.9 or newer) are set by ``set_callbacks``; each epoch is a task.

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010.

    M. T. Hagan and M. B. Menhaj, "Training feedforward networks with the Marquardt algorithm", IEEE
    Transactions on Neural Networks 5, 1994.

    D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015.

    T. Steihaug, "The conjugate gradient method and trust regions in large scale optimization", SIAM Journal
    on Numerical Analysis 20, 1983.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from gdfast import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    >>> clf = MLPClassifier(random_state=0, max_iter=300).fit(X_train, y_train)
    >>> clf.predict(X_test[:5]).tolist()
    [2, 8, 2, 6, 6]
    >>> clf.score(X_test, y_test) > 0.97
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **FeedForward._parameter_constraints,
        **Classification._parameter_constraints,
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
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
        max_fun: int = 15000,
        n_jobs: int | None = None,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        activation_params: dict[str, float] | None = None,
        scoring: Any = None,
        coefs_init: Any = None,
        intercepts_init: Any = None,
        keep_optimizer_state: bool = False,
        max_time: float | None = None,
        callbacks: Any = None,
        resume: Any = None,
        schedule: Any = None,
        init: Any = "sklearn",
        l1_ratio: float = 0.0,
        weight_decay: float = 0.0,
        weight_decay_schedule: Any = None,
        learning_rate_factors: dict[str, Any] | None = None,
        dropout: Any = 0.0,
        dropout_schedule: Any = None,
        batch_norm: bool = False,
        bn_momentum: float = 0.1,
        bn_epsilon: float = 1e-5,
        clip_value: float | None = None,
        clip_norm: float | str | None = None,
        clip_layer_norm: float | None = None,
        backprop_depth: Any = None,
        gradient_noise: float = 0.0,
        record_gradients: bool = False,
        ema_decay: float = 0.0,
        annealing_params: dict[str, Any] | None = None,
    ) -> None:
        self._store(locals())

    @available_if(lambda est: est._check_solver())
    @checks_arguments
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch on the given data, with the optimizer state of the previous call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or an indicator matrix for several labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample's loss in the mean over its batch.
        classes : array-like of shape (n_classes,), default=None
            All classes that occur in any call. Required in the first call only; y need not contain all of
            them.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        AttributeError
            If the solver is not stochastic: it has no epochs.
        ValueError
            If the first call has no ``classes``, y holds another class, ``early_stopping`` is True,
            ``class_weight`` is "balanced", or ``fit`` would refuse the data.
        KeyboardInterrupt
            By Ctrl-C; the weights are those of the last whole step.
        """
        self._fit(X, y, sample_weight, incremental=True, classes=classes)
        return self

    def predict(self, X: Any) -> Array:
        """Predict the class, or the labels, of every sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The class labels, or an indicator matrix.
        """
        predicted: Array = self._predictions(self._outputs(X))
        return predicted

    def predict_proba(self, X: Any) -> Array:
        """Probability of every class, or of every label, for every sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return self._probabilities(self._outputs(X))

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return logarithms(self.predict_proba(X))
