"""What pages are made of: blocks, charts and figures, laid out as Markdown and as HTML."""
