"""Networks: multilayer perceptrons, their initialisation, and policies as plain arrays."""
