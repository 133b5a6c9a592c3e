"""
Write a training loop of one's own
==================================

``gdfast.optim`` updates any NumPy arrays in place, for models that are no networks.
Here such a model fills in images with missing pixels: a matrix is factorised, and only
its known entries count.
"""

# sphinx_gallery_thumbnail_number = 2

import matplotlib.pyplot as plt
import numpy as np
from gdfast import optim, schedules
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

# %%
# Images with holes
# -----------------
# Two of five pixels of the images are unknown.
rng = np.random.default_rng(0)
images = load_digits().data / 16
known = rng.random(images.shape) < 0.6

# %%
# The model and its gradient
# --------------------------
# The images are the rows of a matrix, which is approximated by ``U @ V + m``: each
# image is the mean image m plus a sum of twenty patterns, the rows of V. The loss is
# the squared error over the known pixels, and a penalty on the factors.
RANK, PENALTY = 20, 1.5


def loss_and_gradients(U, V, m):
    """The loss, and its derivatives with respect to U, V and m."""
    residual = np.where(known, U @ V + m - images, 0)
    loss = (np.sum(residual**2) + PENALTY * (np.sum(U**2) + np.sum(V**2))) / 2
    return loss, [
        residual @ V.T + PENALTY * U,
        U.T @ residual + PENALTY * V,
        residual.sum(axis=0),
    ]


# %%
# The loop
# --------
# An optimizer takes a list of arrays and a list of their gradients, and changes the
# arrays in place. A schedule says which learning rate the next step has.
def train(optimizer, n_steps=200):
    rng = np.random.default_rng(1)
    U, V = (
        0.1 * rng.standard_normal(shape) for shape in ((len(images), RANK), (RANK, 64))
    )
    m = np.zeros(64)
    base_rate, schedule, losses = optimizer.lr, schedules.Cosine(), []
    for step in range(n_steps):
        now = schedules.Progress(
            epoch=step, step=step, samples=step, steps_per_epoch=1, epochs=n_steps
        )
        optimizer.lr = schedule.rates(base_rate, now)
        loss, gradients = loss_and_gradients(U, V, m)
        optimizer.step([U, V, m], gradients)
        losses.append(loss)
    return U @ V + m, losses


# %%
# Which optimizer?
# ----------------
# To change it is to change one line. The products are so small that NumPy's are fastest
# on one thread.
threadpool_limits(limits=1, user_api="blas")
optimizers = {
    "SGD": optim.SGD(lr=0.001),
    "SGD, momentum 0.9": optim.SGD(lr=0.001, momentum=0.9),
    "RMSprop": optim.RMSprop(lr=0.01),
    "Adam": optim.Adam(lr=0.03),
}
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, optimizer in optimizers.items():
    filled, losses = train(optimizer)
    ax.semilogy(losses, label=name, linewidth=2)
    error = np.sqrt(np.mean((filled - images)[~known] ** 2))
    print(
        f"{name:<18} loss {losses[-1]:7.1f}   error of the unknown pixels {error:.3f}"
    )
ax.set(xlabel="step", ylabel="loss")
ax.legend(frameon=False)
ax.grid(alpha=0.3)
plt.show()

# %%
# The images, filled in
# ---------------------
# The unknown pixels are red in the middle row. Below them is what Adam's model makes of
# the known ones.
figure, axes = plt.subplots(3, 10, figsize=(10, 3.3), layout="constrained")
cmap = plt.colormaps["gray_r"].with_extremes(bad="tab:red")
rows = {
    "image": images,
    "known": np.ma.array(images, mask=~known),
    "filled in": np.ma.where(known, images, filled),
}
for row, (name, shown) in zip(axes, rows.items()):
    for ax, image in zip(row, shown):
        ax.imshow(image.reshape(8, 8), cmap=cmap, vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name)
plt.show()

baseline = np.ma.array(images, mask=~known).mean(axis=0)
error = np.sqrt(np.mean((images - baseline)[~known] ** 2))
print(f"error with the mean of each pixel: {error:.3f}")

# %%
# The loop is all there is to training: a loss with its gradient, a learning rate, a
# step. Most digits can be read again. With the better optimizers the error of the
# unknown pixels is seven tenths of that of the mean of each pixel.
