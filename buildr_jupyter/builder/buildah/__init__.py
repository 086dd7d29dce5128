"""buildah: its storage and what a killed one leaves."""
