"""Tables of what is known of libraries, one module each; ``library_tables`` puts them together."""
