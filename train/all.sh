#!/bin/bash
# From art.tar.xz to judged students, every part as far as it has got; killed at any moment, the same command goes on.
#   train/all.sh [--device cpu|cuda] [--from DIR] [--out DIR] [--seconds N] [--stop codec|encode|teacher|student] [--trial]
# --from takes up what ferry.py packed; --out packs it there at the end, with the logs, the figures and the sheets.
# --seconds ends after so long, --stop behind that part. --trial: a few pictures, and seconds of each in tiny batches.
# Minutes of each part in all its runs, of the core on a processor: CODEC, JUDGE, TEACHER, STUDENT.
# PYTHON and WISP_TRAIN_DIR as in README.md. data.py makes art.tar.xz where there is a network.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
device=cpu from= out= stop= trial= seconds=100000000
while (($#)); do case $1 in
  --device) device=$2; shift 2;; --from) from=$2; shift 2;; --out) out=$2; shift 2;; --stop) stop=$2; shift 2;;
  --seconds) seconds=$2; shift 2;; --trial) trial=1; shift;; *) echo "unknown: $1" >&2; exit 2;; esac; done
python=${PYTHON:-python3} dir=${WISP_TRAIN_DIR:-$HOME/wisp-train}
export WISP_TRAIN_DIR=$dir PYTHONUNBUFFERED=1
case $device in
  cuda) : "${CODEC:=2.2}" "${JUDGE:=0.5}" "${TEACHER:=3.5}" "${STUDENT:=1.2}";;
  *) : "${CODEC:=900}" "${JUDGE:=90}" "${TEACHER:=3000}" "${STUDENT:=360}"; export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1};;
esac
few=() steps=1,2,4 whole=20
if [ "$trial" ]; then CODEC=0.05 JUDGE=0.03 TEACHER=0.05 STUDENT=0.06 few=(--count 12) steps=1 whole=2; export WISP_TRAIN_TRIAL=1; fi

run() { echo "== $((SECONDS)) s: $*"; timeout $((seconds > SECONDS ? seconds - SECONDS : 1)) "$python" "$here/$@"; }
stop() { if [ "$stop" = "$1" ]; then echo "== stops behind $1"; exit 0; fi; }
finish() {
  wait
  if [ "$out" ]; then
    mkdir -p "$out"
    "$python" "$here/ferry.py" pack "$out"
    tar -C "$dir" -czf "$out/log.tar.gz" $(cd "$dir" && ls -d log eval.jsonl sheets 2>/dev/null)
    ls -l "$out"
  fi
}
trap finish EXIT

mkdir -p "$dir"
kit=$here/out/kit # of kit.sh, on a machine without a network
if [ -d "$kit" ] && ! "$python" -c 'import diffusers, resvg_py' 2>/dev/null; then
  [ -d "$dir/site" ] || "$python" -m pip install -q --no-index --no-deps --target "$dir/site" "$kit"/*.whl
  export PYTHONPATH=$dir/site${PYTHONPATH:+:$PYTHONPATH}
fi
[ -f "$dir/art.tar.xz" ] || [ ! -f "$kit/art.tar.xz" ] || cp "$kit/art.tar.xz" "$dir/"
[ -f "$dir/art.tar.xz" ] || { echo "no $dir/art.tar.xz: run data.py where there is a network"; exit 1; }
[ -z "$from" ] || run ferry.py unpack "$from"
[ -f "$dir/manifest.json" ] || run render.py ${trial:+--limit 400}
[ "$dir/composed.json" -nt "$dir/manifest.json" ] || run compose.py
words() { [ -f "$dir/tokenizer/vocab.json" ] || run tokenizer.py; run train.py --prompts; }
judge() { run classifier.py --minutes "$JUDGE" --device $device; }
if [ $device = cuda ]; then { words; judge; } & else words; fi  # a GPU's machine has processors to spare
# a denoiser holds its codec fast: other latents would be another language
[ -f "$dir/denoiser.pt" ] || run autoencoder.py train --minutes "$CODEC" --device $device
stop codec
[ "$dir/latents.pt" -nt "$dir/autoencoder.pt" ] && [ "$dir/latents.pt" -nt "$dir/composed.json" ] || run autoencoder.py encode --device $device
wait
stop encode
run train.py --minutes "$TEACHER" --device $device
stop teacher
run distill.py match --minutes "$STUDENT" --device $device
stop student
judge
run export.py "$dir/out/teacher" --steps 20 --guidance 3
run export.py "$dir/out/student" --weights student-match.pt --steps 4 --guidance 1
run autoencoder.py measure --device $device
run eval.py "$dir/out/student" --steps $steps "${few[@]}" --device $device
run eval.py "$dir/out/teacher" --steps $whole "${few[@]}" --device $device
