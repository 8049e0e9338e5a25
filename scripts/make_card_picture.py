"""Draws docs/images/card.png: the head, the account and the classes of a built card, side by side.

    datakit build recipes/ecom_v3.yaml
    python scripts/make_card_picture.py data_cards/ecom_v3.html docs/images/card.png

Needs Chromium (or the browser that CHROMIUM names) and a font with Chinese characters. A style sheet chooses
and lays out sections; not a word of the page is changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT = 1560, 1040
STYLE = """
main { max-width: none; padding: 1.6rem 2rem; display: grid; gap: 0 3.5rem; }
main { grid-template: auto auto 1fr / 44rem 1fr; }
header nav, section { display: none; }
#how-it-was-made, #classes { display: block; }
#how-it-was-made { grid-area: 2 / 1 / 4 / 2; margin-top: 1.5rem; }
#how-it-was-made > :nth-child(n + 4), #classes > :nth-child(n + 4) { display: none; }
#classes { grid-area: 1 / 2 / 4 / 3; }
h2 { margin-top: 0; }
figure svg { max-width: 38rem; }
td, th { padding-block: .28rem; }
"""


def main(page: Path, picture: Path) -> None:
    """Writes the picture with 128 colours: about 100 KB."""
    text = page.read_text(encoding="utf-8").replace("</head>", f"<style>{STYLE}</style></head>")
    with tempfile.TemporaryDirectory() as folder:
        laid_out, shot = Path(folder) / "card.html", Path(folder) / "shot.png"
        laid_out.write_text(text, encoding="utf-8")
        browser = [os.environ.get("CHROMIUM", "chromium"), "--headless=new", "--no-sandbox"]
        size = ["--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}"]
        subprocess.run([*browser, *size, laid_out.as_uri()], check=True, capture_output=True)
        with Image.open(shot) as image:
            image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
