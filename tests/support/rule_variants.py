"""Every kernel of an optimizer rule, and every scalar that tells variants of one kernel apart."""

from __future__ import annotations

from gdfast import optim

VARIANTS: dict[str, optim.Optimizer] = {
    "sgd": optim.SGD(0.05, weight_decay=0.1),
    "sgd momentum": optim.SGD(0.02, momentum=0.9, weight_decay=0.1),
    "sgd dampened": optim.SGD(0.05, momentum=0.9, dampening=0.3),
    "sgd average": optim.SGD(0.05, momentum=0.9, dampening=0.9, dampen_first=True),
    "sgd nesterov": optim.SGD(0.02, momentum=0.9, nesterov=True, weight_decay=0.1),
    "sgd lr in velocity": optim.SGD(0.02, momentum=0.9, lr_in_velocity=True),
    "sgd nesterov, lr in velocity": optim.SGD(0.02, momentum=0.9, nesterov=True, lr_in_velocity=True),
    "adagrad": optim.Adagrad(0.1, lr_decay=0.01, weight_decay=0.1),
    "adagrad begun": optim.Adagrad(0.1, initial_accumulator_value=0.5, eps=1e-3),
    "rmsprop": optim.RMSprop(0.01, weight_decay=0.1),
    "rmsprop inside": optim.RMSprop(0.01, alpha=0.9, eps=1e-3, eps_mode="inside"),
    "rmsprop momentum": optim.RMSprop(0.003, momentum=0.9),
    "rmsprop centered": optim.RMSprop(0.01, centered=True, eps=1e-2),
    "rmsprop centered, momentum": optim.RMSprop(0.003, centered=True, momentum=0.9, eps=1e-2),
    "adadelta": optim.Adadelta(0.9, weight_decay=0.1),
    "adam": optim.Adam(0.01, weight_decay=0.1, eps=1e-3),
    "adam uncorrected": optim.Adam(0.01, betas=(0.8, 0.95), eps=1e-3, eps_mode="uncorrected"),
    "adam inside": optim.Adam(0.01, eps=1e-3, eps_mode="inside"),
    "amsgrad": optim.Adam(0.01, betas=(0.9, 0.9), amsgrad=True),
    "adamw": optim.AdamW(0.01, weight_decay=0.1),
    "adamw amsgrad": optim.AdamW(0.01, betas=(0.9, 0.9), weight_decay=0.1, amsgrad=True),
    "nadam": optim.NAdam(0.01, weight_decay=0.1),
    "nadam decoupled": optim.NAdam(0.01, weight_decay=0.1, decoupled_weight_decay=True, momentum_decay=0.1),
    "adamax": optim.Adamax(0.01, betas=(0.9, 0.9), weight_decay=0.1, eps=1e-3),
    # Signs jump: a small rate keeps one that float32 sees otherwise from counting much.
    "lion": optim.Lion(1e-4, weight_decay=0.5),
    "rprop": optim.Rprop(1e-4, etas=(0.4, 1.3), step_sizes=(5e-5, 1e-2)),
}
