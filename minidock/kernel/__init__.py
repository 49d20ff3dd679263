"""Linux itself: one module per primitive, one function per system call. No policy."""
