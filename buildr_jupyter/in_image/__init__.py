"""In the image: files that are copied into images and run there, standard library only."""
