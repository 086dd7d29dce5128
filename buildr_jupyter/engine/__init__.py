"""Engine: a connection to a container engine, watched and aborted."""
