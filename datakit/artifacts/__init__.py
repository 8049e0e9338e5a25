"""The files of a build and who may write them."""
