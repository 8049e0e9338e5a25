"""Personal data in texts: where it stands, of which kind, and the mask that takes its place.

Chinese texts of the mainland first, as OCR reads them: full-width signs, O for 0 and l for 1, spaces within
numbers, an address over two lines. English forms as far as they are usual on the same screens.
"""
