"""Secret scan: credentials are found in what would leave, and redacted in what is shown."""
