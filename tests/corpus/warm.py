"""What is loaded before the large libraries where programs run as children: pandas is to write as in a program."""

from buildr_jupyter.in_image.displays import install

install(1)
