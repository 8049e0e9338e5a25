"""The build folder: its files, their formats, one reader and one writer. Rests on core alone."""
