"""Journal: runs and built images as rows that outlive the kernel."""
