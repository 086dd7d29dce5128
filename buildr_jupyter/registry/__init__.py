"""Registry: references become manifests and blobs; logins and where they are kept."""
