"""Review: a page on which people decide about records, and the file of their decisions."""
