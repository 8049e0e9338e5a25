"""Words that tell one label's pictures from another's: the screens' own, none of their content."""
