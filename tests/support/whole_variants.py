"""Every rule that sees whole gradients, with the options that take other ways through it."""

from __future__ import annotations

from gdfast import optim

WHOLE: dict[str, optim.Optimizer] = {
    "muon": optim.Muon(0.02),
    "muon plain": optim.Muon(0.02, 0.0, 0.8, False, ns_steps=3, adamw_lr_factor=0.5),
    "muon matched": optim.Muon(0.01, adjust_lr_fn="match_rms_adamw", adamw_betas=(0.8, 0.9), adamw_eps=1e-3),
    "muon hidden": optim.Muon(0.02, hidden=(True, False, False, True, False, False, False, False, False)),
}
