"""
Recognise handwritten digits
============================

``MLPClassifier`` reads digits from images of 8 x 8 pixels, in a scikit-learn pipeline.
The example looks at how the loss falls, which digits are mistaken for which, and at the
images that the network gets wrong.
"""

# sphinx_gallery_thumbnail_number = 3

import matplotlib.pyplot as plt
import numpy as np
from gdfast import LossCurveDisplay, MLPClassifier
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

# %%
# The images
# ----------
# A row of ``X`` is an image, its 64 pixels from 0 (white) to 16 (black). Networks are
# trained in the dtype of the data: in float32 an image has half the bytes, and a step
# takes about half the time.
X, y = load_digits(return_X_y=True)
X = X.astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.4, stratify=y, random_state=0
)

# %%
# Fit
# ---
# With ``early_stopping`` a tenth of the training images is set aside. Training ends
# when the log-loss on these has not improved for ten epochs, and the weights of the
# best epoch are kept. Accuracy, the default, is too coarse a score for so few images.
# Dropout keeps the network from learning the images by heart.
net = MLPClassifier(
    hidden_layer_sizes=(128, 64),
    dropout=0.2,
    early_stopping=True,
    scoring="neg_log_loss",
    learning_rate_init=0.003,
    random_state=0,
)
model = make_pipeline(MinMaxScaler(), net).fit(X_train, y_train)
print(f"{net.n_iter_} epochs")
print(f"accuracy on {len(y_test)} other images: {model.score(X_test, y_test):.3f}")

# %%
# How it learned
# --------------
# ``LossCurveDisplay`` plots the loss of every epoch, on the training images (with
# dropout) and on those set aside (without).
figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
LossCurveDisplay.from_estimator(net, ax=ax, name="log-loss")
ax.set(yscale="log")
ax.grid(alpha=0.3)
plt.show()

# %%
# Which digits are mistaken?
# --------------------------
figure, ax = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
ConfusionMatrixDisplay.from_estimator(
    model, X_test, y_test, ax=ax, cmap="Blues", colorbar=False
)
plt.show()

# %%
# The mistakes
# ------------
# These are the mistakes that the network was surest of, with the right digit, its
# answer, and the probability that it gave to that answer.
probabilities = model.predict_proba(X_test)
answers = probabilities.argmax(axis=1)
sureness = np.where(answers != y_test, probabilities.max(axis=1), 0)
mistakes = np.argsort(-sureness)[:12]

figure, axes = plt.subplots(2, 6, figsize=(9, 3.7), layout="constrained")
for ax, i in zip(axes.flat, mistakes):
    ax.imshow(X_test[i].reshape(8, 8), cmap="gray_r")
    ax.set_title(
        f"{y_test[i]}, read as {answers[i]}\n({sureness[i]:.0%})", fontsize="medium"
    )
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
# The network reads 98 of 100 images that it has not seen. Its mistakes are spread over
# the digits, and many of them are images that a human reader would hesitate over, too.
