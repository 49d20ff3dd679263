"""Chapter 1: chroot, and why it is no jail."""
