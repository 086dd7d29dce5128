"""Context folder: an image's plan as a folder, and a folder's Dockerfile in its parts."""
