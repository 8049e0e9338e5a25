"""What draw_screens.py draws with: a shop's world by seed, page layouts of 25 classes, and a browser."""
