"""
Recognise speakers by a vowel
=============================

Nine men say the vowels "ae". A recurrent network tells them apart from twelve numbers
for each of some fifteen time steps, and its answer can be followed while the vowel is
heard.
"""

# sphinx_gallery_thumbnail_number = 2

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from gdfast import RNNClassifier
from sklearn.exceptions import ConvergenceWarning

# %%
# The utterances
# --------------
# The series are those of Kudo, Toyama and Shimbo (1999): 640 utterances of 7 to 29
# steps, each step twelve cepstrum coefficients. The first 270 are for training, the
# other 370 for testing, as published. The file is
# :download:`japanese-vowels.npz </../examples/data/japanese-vowels.npz>`.
path = Path("japanese-vowels.npz")
if not path.exists():  # the program is in the repository
    path = Path(sys.argv[0]).resolve().parent / "../../data" / path
with np.load(path) as file:
    frames = file["frames"].astype(
        np.float32
    )  # all steps, one utterance after the other
    utterances = np.split(frames, np.cumsum(file["lengths"].astype(int))[:-1])
    speakers = file["speakers"]
N_TRAIN = 270
print(f"{len(utterances)} utterances, lengths {[len(x) for x in utterances[:8]]}...")

# %%
# Three of them, with time from left to right:
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained", sharey=True)
for ax, i in zip(axes, [0, 120, 240]):
    image = ax.imshow(
        utterances[i].T,
        cmap="RdBu_r",
        vmin=-1.5,
        vmax=1.5,
        aspect="auto",
        origin="lower",
    )
    ax.set(
        title=f"speaker {speakers[i]}, {len(utterances[i])} steps", xlabel="time step"
    )
    ax.set(
        xlim=(-0.5, 19.5),
        xticks=range(0, 20, 5),
        yticks=[0, 3, 7, 11],
        yticklabels=[1, 4, 8, 12],
    )
axes[0].set_ylabel("cepstrum coefficient")
figure.colorbar(image, ax=axes, label="value")
plt.show()

# %%
# Fit
# ---
# ``X`` is a list of arrays of any lengths: no padding, no mask. As for any network the
# inputs are scaled, here by the mean and standard deviation of a coefficient over all
# steps of training.
training_steps = np.concatenate(utterances[:N_TRAIN])
mean, spread = training_steps.mean(axis=0), training_steps.std(axis=0)
X = [(x - mean) / spread for x in utterances]
X_train, X_test, y_train, y_test = (
    X[:N_TRAIN],
    X[N_TRAIN:],
    speakers[:N_TRAIN],
    speakers[N_TRAIN:],
)

warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
net = RNNClassifier(
    hidden_layer_sizes=(32,),
    cell="gru",
    batch_size=32,
    learning_rate_init=0.01,
    schedule="cosine",
    max_iter=40,
    random_state=0,
).fit(X_train, y_train)
print(f"accuracy on the test utterances: {net.score(X_test, y_test):.3f}")

# %%
# After how many steps does it know?
# ----------------------------------
# A recurrent network can answer at any time. So it is asked after each step, about what
# it has heard so far.
steps = np.arange(1, 21)
accuracy = [net.score([x[:n] for x in X_test], y_test) for n in steps]

one = X_test[171]
so_far = net.predict_proba([one[:n] for n in range(1, len(one) + 1)])

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(steps, accuracy, "o-")
left.axhline(1 / 9, color="0.4", linestyle="--")
left.text(20, 1 / 9 + 0.02, "chance", ha="right", color="0.4")
left.set(
    xlabel="steps heard",
    ylabel="accuracy on the test utterances",
    ylim=(0, 1.02),
    xticks=range(0, 21, 5),
)
left.grid(alpha=0.3)

edges = np.arange(len(one) + 1) + 0.5, np.arange(10) + 0.5
image = right.pcolormesh(
    *edges, so_far.T, cmap="Blues", vmin=0, vmax=1, edgecolors="w", linewidth=0.5
)
right.set(
    title=f"One utterance of speaker {y_test[171]}",
    xlabel="steps heard",
    ylabel="speaker",
    xticks=range(5, len(one) + 1, 5),
    yticks=net.classes_,
)
figure.colorbar(image, ax=right, label="probability")
plt.show()

# %%
# The network recognises 98 of 100 utterances. Their first steps, the "a", say little
# about who speaks: after five steps every second answer is right, after ten eight of
# ten, and the "e" settles the others.
