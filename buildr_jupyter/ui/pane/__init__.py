"""The pane under a cell: what is sent to the page, what is kept of the log, and the record that stays in the notebook.

Nothing here knows Jupyter; ``widgets.py`` carries what ``PaneDisplay`` sends, ``pane.js`` draws it.
"""
