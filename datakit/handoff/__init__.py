"""One road from a build to its scores, gone in the same way at home and in an unpacked bundle."""
