"""User interface: events become text, JSON, a live terminal and the pane."""
