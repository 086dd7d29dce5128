"""Pipeline: a request goes the whole way, from export to run."""
