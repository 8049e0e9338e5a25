"""Out-of-fold predictions of the real model: a build for each fold, their handoff, and what they say."""
