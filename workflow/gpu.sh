#!/bin/sh
# Runs the plan's next cells under JAX on a machine with a GPU and without a network.
#
#   workflow/gpu.sh pack FOLDER [NAME=VALUE ...]   here: puts all that is needed there into one folder
#   FOLDER/gpu.sh run MINUTES [WORKERS]            there: runs the cells until the minutes are over, WORKERS at once
#
# NAME=VALUE are settings as for `make tables`, and parts=block,why. Runs that are finished here, or in outputs/reference, are left
# out. The machine needs Python 3.11 or newer with JAX, NumPy, pandas, SciPy, h5py, Pillow and tqdm; Keras travels as wheels, for
# the Python in GAAP_PYTHON (3.12). FOLDER/small.tar has the small files of the finished runs: unpack it in outputs/reference/runs.
# A run that is cut off resumes from its last epoch if FOLDER is still there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
case "${1:-}" in
pack)
	folder=$2
	shift 2
	project=$(dirname "$here")
	mkdir -p "$folder/notebooks" "$folder/wheels"
	cp "$here/gpu.sh" "$here/gpu.py" "$folder"
	cp -R "$project/gaaplib" "$folder"
	"$project/.venv/bin/python" -m pip download --quiet --no-deps --only-binary=:all: --dest "$folder/wheels" \
		--python-version "${GAAP_PYTHON:-3.12}" --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform any \
		$("$project/.venv/bin/python" "$here/gpu.py" wheels)
	"$project/.venv/bin/python" "$here/gpu.py" pack "$folder" "$@"
	;;
run)
	cd "$here"
	python3 -m pip install --quiet --no-index --no-deps --upgrade --target site wheels/*.whl
	export KERAS_BACKEND=jax PYTHONPATH="$here:$here/site"
	# Otherwise the first worker would take most of the GPU's memory.
	export XLA_PYTHON_CLIENT_PREALLOCATE=false
	# Same seed, same bits: no choice of kernels by timing, and only those that add in a fixed order.
	export XLA_FLAGS="--xla_gpu_autotune_level=0 --xla_gpu_exclude_nondeterministic_ops=true ${XLA_FLAGS:-}"
	# Runs that differ in seed alone are compiled once.
	export JAX_COMPILATION_CACHE_DIR="$here/compiled"
	# It ends by itself; this is for a run that does not come back.
	timeout --signal=INT --kill-after=20 "$2m" python3 gpu.py run "$2" "${3:-1}" || [ $? -eq 124 ]
	;;
*)
	sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
	exit 2
	;;
esac
