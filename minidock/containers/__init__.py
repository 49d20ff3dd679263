"""A bundle becomes a process: steps, runtime, launcher, shim, exec."""
