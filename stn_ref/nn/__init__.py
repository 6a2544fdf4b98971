"""The mini autodiff: layers with explicit forward and backward."""
