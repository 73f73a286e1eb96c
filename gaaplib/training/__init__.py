"""Training: batches and augmentation, the training loop, and checkpoints."""
