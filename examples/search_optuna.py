"""A search by Optuna that gives up bad trials after a few epochs, on two workers of Dask.

Run with ``python examples/search_optuna.py`` (it needs ``pip install optuna "gdfast[dask]"``). A callback of
the fit reports the validation score of every epoch, and ends the fit when Optuna's pruner says so. The trials
are in a file that the workers share; for several machines Optuna has storages in databases. The data go to
the workers once, before the search.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import optuna
from dask.distributed import Client, LocalCluster
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_info

N_WORKERS, N_TRIALS, MAX_ITER = 2, 24, 40


class Prune:
    """Report the validation score of every epoch to a trial, and end it when it is to be pruned."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
        self.trial.report(logs["val_score"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def run_trials(path: str, n_trials: int, seed: int, data: Any) -> int:
    """Run trials of the study in a file; the number of threads that gdfast's team has here."""
    X_train, X_val, y_train, y_val = data

    def objective(trial: optuna.Trial) -> float:
        clf = gdfast.MLPClassifier(
            hidden_layer_sizes=(trial.suggest_int("units", 8, 128, log=True),),
            learning_rate_init=trial.suggest_float("learning_rate_init", 1e-5, 1e-1, log=True),
            alpha=trial.suggest_float("alpha", 1e-6, 1e-1, log=True),
            max_iter=MAX_ITER,
            callbacks=[Prune(trial)],
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            clf.fit(X_train, y_train, X_val=X_val, y_val=y_val)
        return clf.best_validation_score_

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(
        study_name="digits",
        storage=JournalStorage(JournalFileBackend(path)),
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3),
    )
    study.optimize(objective, n_trials)
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")


def main() -> None:
    X, y = load_digits(return_X_y=True)
    data = train_test_split((X / 16).astype(np.float32), y, stratify=y, random_state=0)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=N_WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        path = str(Path(folder) / "trials.log")
        study = optuna.create_study(
            study_name="digits", storage=JournalStorage(JournalFileBackend(path)), direction="maximize"
        )
        on_workers = client.scatter(data, broadcast=True)
        runs = [
            client.submit(run_trials, path, N_TRIALS // N_WORKERS, seed, on_workers, pure=False)
            for seed in range(N_WORKERS)
        ]
        threads = client.gather(runs)
        states = [trial.state.name for trial in study.trials]
        epochs = [1 + max(trial.intermediate_values, default=-1) for trial in study.trials]
        print(f"{len(states)} trials on {N_WORKERS} workers, {states.count('PRUNED')} of them pruned")
        print(f"{sum(epochs)} epochs instead of {MAX_ITER * len(states)}")
        print(f"at most {max(threads)} threads for a fit")
        print(f"best accuracy {study.best_value:.3f} with {study.best_params}")


if __name__ == "__main__":
    main()
