"""Everything that the package adds passes datakit's own suite, and a recipe that uses all of it is built."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from datakit_shop.csv_files import CsvFiles
from datakit_shop.price import Price

import datakit
from datakit.core.registry import find
from datakit.testing import transform_checks

HERE = Path(__file__).resolve().parent.parent
ROWS = [{"id": "a", "text": "¥3.50"}, {"id": "b", "text": "for free"}, {"id": "c", "text": None}]


@pytest.mark.parametrize("check", transform_checks(Price(), ROWS), ids=str)
def test_price_conforms(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("check", transform_checks(CsvFiles()), ids=str)
def test_csv_conforms(check: Callable[[], None]) -> None:
    check()


def test_steps_are_found_by_their_names() -> None:
    assert find("shop.price") is Price
    assert find("emit.csv") is CsvFiles


@pytest.fixture
def parrot() -> Iterator[str]:
    """The address of a parrot on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = json.dumps({"echo": f"heard {len(asked['text'])} characters"})
            data = json.dumps({"said": said}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_recipe_uses_all_four(tmp_path: Path, parrot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARROT_URL", parrot)
    for name in ("recipes", "templates"):
        shutil.copytree(HERE / name, tmp_path / name)
    shutil.copyfile(HERE / "rows.jsonl", tmp_path / "rows.jsonl")
    result = datakit.build(tmp_path / "recipes" / "shop.yaml", overrides=["card.language=en"])
    built = datakit.open_build(result.folder)
    rows = {row["id"]: row for row in built.records.collect().to_dicts()}
    assert rows["item-3"]["price"] == 39.5
    assert rows["item-3"]["echo"].startswith("heard ")
    assert "item-3;贵;1" in (result.folder / "shop_train.csv").read_text("utf-8")
    for suffix in ("md", "html"):
        card = (tmp_path / "data_cards" / f"shop.{suffix}").read_text("utf-8")
        for title in ("Step 2: shop.price", "Prices", "Step 6: emit.csv", "Labels by split"):
            assert title in card
