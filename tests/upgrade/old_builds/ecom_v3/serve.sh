#!/usr/bin/env bash
# Serves ecom_v3 with vLLM, written by datakit; a new build writes it anew.
# run: ./serve.sh FOLDER_OF_THE_MERGED_MODEL [further flags of vllm serve]
# Planned for the architecture of Qwen/Qwen2.5-VL-7B-Instruct.
# Each GPU (or the CPU): 22.1 of 24.0 GiB for vLLM; weights 7.7, working memory about 2.3, cache 12.08 GiB = 452,224 tokens at 28,672 bytes; the longest request has 2,432.
# Note: 1 of 2 picture sizes get other tokens than in training when a client sends pictures as they are; datakit.Classifier and `datakit predict` resize first.
# Note: about 185 requests of the longest kind fit into the cache at once.
set -euo pipefail
model=${1:?"give the folder of the merged model (llamafactory-cli export makes it)"}; shift
flags=(
  --served-model-name ecom_v3  # requests must use this name; any other is answered with 404
  --host 127.0.0.1  # only this machine; vLLM itself would listen on every address
  --port 8000  # serve.port
  --max-model-len 2432  # longest prompt 2,252 tokens with pictures, answer up to 144
  --limit-mm-per-prompt '{"image": 1, "video": 0}'  # the most pictures of a record; no memory is set aside for videos
  --mm-processor-kwargs '{"min_pixels": 3136, "max_pixels": 617008}'  # training's 589,824 and room for rounding to the grid of 28: no picture is shrunk a second time
  --generation-config vllm  # the model's own defaults (temperature 0.1, repetition penalty 1.05) would change answers
  --gpu-memory-utilization 0.92  # the share that the figures rest on
  --tensor-parallel-size 2  # without it vLLM uses one of the GPUs
)
exec vllm serve "$model" "${flags[@]}" "$@"
