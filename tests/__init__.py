"""All tests; a package, so that their helpers are one too."""
