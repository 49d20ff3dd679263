"""Measures, side by side with the peers in one run. Nothing here asserts a time: machines are noisy, ratios are not."""
