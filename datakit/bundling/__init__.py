"""One archive that trains, serves and scores a build on a machine without datakit."""
