"""Every rule that sees whole gradients, with the options that take other ways through it."""

from __future__ import annotations

from gdfast import optim

WHOLE: dict[str, optim.Optimizer] = {
    "muon": optim.Muon(0.02),
    "muon plain": optim.Muon(0.02, 0.0, 0.8, False, ns_steps=3, adamw_lr_factor=0.5),
    "muon matched": optim.Muon(0.01, adjust_lr_fn="match_rms_adamw", adamw_betas=(0.8, 0.9), adamw_eps=1e-3),
    "muon hidden": optim.Muon(0.02, hidden=(True, False, False, True, False, False, False, False, False)),
    "schedulefree": optim.ScheduleFree(0.05, weight_decay=0.1),
    "schedulefree warm": optim.ScheduleFree(
        0.05, betas=(0.8, 0.95), eps=1e-3, warmup_steps=20, r=0.5, weight_lr_power=1.0
    ),
    "schedulefree sgd": optim.ScheduleFree(0.3, base="sgd", weight_decay=0.1, warmup_steps=5),
    "soap": optim.SOAP(0.02),
    "soap often": optim.SOAP(
        0.02,
        betas=(0.8, 0.9),
        shampoo_beta=0.7,
        eps=1e-3,
        precondition_frequency=2,
        max_precond_dim=6,
        weight_decay=0.1,
    ),
    "prodigy": optim.Prodigy(weight_decay=0.1),
    "prodigy coupled": optim.Prodigy(
        0.5,
        betas=(0.8, 0.95),
        beta3=0.9,
        weight_decay=0.1,
        decouple=False,
        use_bias_correction=True,
        d0=1e-3,
        d_coef=2.0,
        eps=1e-3,
    ),
    "prodigy guarded": optim.Prodigy(safeguard_warmup=True, growth_rate=1.05, d0=1e-2),
}
