"""From the store to the numbers and back: inputs, checkpoints, replay, stored profiles."""
