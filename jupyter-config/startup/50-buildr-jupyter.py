# Loads %%containerize in every notebook. Written by "buildr enable"; "buildr disable" takes it away.
try:
    get_ipython().extension_manager.load_extension("buildr_jupyter")
except ImportError:
    pass  # this environment has no buildr_jupyter
