"""What a shop adds to datakit: one file and one entry point for each."""
