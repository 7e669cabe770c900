"""The network of a finished run: loading, classification of images, export to other formats."""
