#!/usr/bin/env bash
# Shows what an append and a sync meet in steady state: page faults, extents that must be converted, reservations and creations of
# files, by thread, after two seconds of warming up. Then the system calls of the same run.
#
#   journal/benches/steady_state.sh FOLDER [SECONDS] [RATE]
#
# Needs perf with the tracepoints of ext4 (root, tracefs) and strace. Segments are 4 MiB, so that a short run goes over many.
set -euo pipefail
folder=${1:?give a folder on the disk to look at}
seconds=${2:-8}
rate=${3:-100000}
cd "$(dirname "$0")/../.."

cargo build --quiet --release -p sequencer --example steady
steady=${CARGO_TARGET_DIR:-target}/release/examples/steady
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

events=exceptions:page_fault_user,exceptions:page_fault_kernel
events+=,ext4:ext4_ext_handle_unwritten_extents,ext4:ext4_ext_convert_to_initialized_enter
events+=,ext4:ext4_fallocate_enter,ext4:ext4_request_inode
perf record --quiet --output "$scratch/perf" -e "$events" -- "$steady" "$folder" "$seconds" "$rate" only thread
perf script --input "$scratch/perf" -F comm,tid,time,event >"$scratch/script" 2>"$scratch/err"
echo
echo "thread and event, all of the run and from its third second on:"
awk '
    # comm tid time: event:
    { event = $NF; sub(/:$/, "", event); time = $(NF - 1); sub(/:$/, "", time); tid = $(NF - 2)
      name = $1; for (i = 2; i < NF - 2; i++) name = name " " $i
      if (!begun) begun = time
      all[name " " event]++
      if (time - begun > 2) late[name " " event]++ }
    END { for (key in all) printf "%-64s %8d %8d\n", key, all[key], late[key] }
' "$scratch/script" | sort

echo
echo "system calls of the same load:"
strace -f -c -o "$scratch/strace" "$steady" "$folder" "$seconds" "$rate" only thread >"$scratch/out"
sed -n '1,16p' "$scratch/strace"
