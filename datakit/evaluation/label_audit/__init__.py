"""Whether a label file says what the pictures of a build bear: descriptions, claims, keywords, neighbours."""
