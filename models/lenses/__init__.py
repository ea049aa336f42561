"""Learned lenses: an affine translator per depth, trained (tuned lens) or derived (Jacobian lens) for one model."""
