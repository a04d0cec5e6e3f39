# Finds the libtorch that this bundle is to run with and puts it first in LD_LIBRARY_PATH. Sourced by ./samtune and
# ./run-tests, which have set here, the bundle's folder, and program, what is to be started. The places, in order:
#   1. LIBTORCH, where it is set: what you name is taken, or refused
#   2. libtorch/ beside this bundle's scripts, where the bundle was made with it
#   3. PyTorch in the active environment: VIRTUAL_ENV, then CONDA_PREFIX
#   4. PyTorch of python3, then python, on the PATH
wanted=@TORCH@ # the release that the program was built with: the last number may differ

stop() {
	printf 'samtune: %s\n' "$1" >&2
	shift
	[ $# -eq 0 ] || printf '%s\n' "$@" >&2
	exit 1
}

# version_of prints the version of the libtorch in folder $1, as 2.11.0+cu130.
version_of() {
	if [ -r "$1/build-version" ]; then
		read -r line <"$1/build-version" && printf '%s\n' "$line"
	elif [ -r "$1/version.py" ]; then
		while read -r name sign value; do
			[ "$name $sign" != "__version__ =" ] || printf '%s\n' "$value" | tr -d "'\""
		done <"$1/version.py"
	fi
}

# fits says whether folder $1 holds a libtorch for the program, and leaves the reason in why where not.
fits() {
	if [ ! -e "$1/lib/libtorch_cpu.so" ] || [ ! -e "$1/lib/libc10.so" ]; then
		why="it has no lib/libtorch_cpu.so and lib/libc10.so"
		return 1
	fi
	version=$(version_of "$1")
	case $version in
	"$wanted".*) ;;
	"") why="neither build-version nor version.py says which libtorch it is" && return 1 ;;
	*) why="it is libtorch $version, want $wanted" && return 1 ;;
	esac
	if ! grep -q @ABI@ "$1/lib/libc10.so"; then
		why="its libtorch was built with another C++ ABI than this program"
		return 1
	fi
}

tried=
note() { tried="$tried
  $1"; }

# taken sets torch to folder $2 where that fits; $1 says what led there.
taken() {
	if fits "$2"; then
		torch=$2
		return 0
	fi
	note "$1: $2: $why"
	return 1
}

search() {
	for variable in VIRTUAL_ENV CONDA_PREFIX; do
		eval "environment=\${$variable:-}"
		if [ -z "$environment" ]; then
			note "$variable is not set"
			continue
		fi
		found=
		for folder in "$environment"/lib/python3*/site-packages/torch; do
			[ -d "$folder" ] || continue
			found=yes
			taken "$variable" "$folder" && return
		done
		[ -n "$found" ] || note "$variable: $environment has no lib/python3*/site-packages/torch"
	done
	for python in python3 python; do
		if ! command -v $python >/dev/null; then
			note "$python: not on the PATH"
			continue
		fi
		# find_spec looks and does not import.
		folder=$($python -c 'import importlib.util as u; s = u.find_spec("torch"); print(list(s.submodule_search_locations or [""])[0] if s else "")' 2>/dev/null)
		if [ -z "$folder" ]; then
			note "$python: $(command -v $python) has no PyTorch"
			continue
		fi
		taken "$python" "$folder" && return
	done
	return 1
}

torch=
if [ -n "${LIBTORCH:-}" ]; then
	fits "$LIBTORCH" || stop "LIBTORCH=$LIBTORCH: $why" \
		"Let LIBTORCH name the torch folder of a Python environment with PyTorch $wanted, or a C++ libtorch $wanted, or unset it."
	torch=$LIBTORCH
elif [ -d "$here/libtorch" ]; then
	fits "$here/libtorch/torch" || stop "$here/libtorch/torch: $why: the bundle is damaged, unpack it again"
	torch=$here/libtorch/torch
else
	note "LIBTORCH is not set"
	note "$here/libtorch is not there: this bundle was made without it"
	search || stop "no libtorch $wanted on this machine. Looked at:$tried" \
		"Activate a Python environment that has PyTorch $wanted, or let LIBTORCH name its torch folder, or install it where there is a network:" \
		"  pip install 'torch==$wanted.*'" \
		"A bundle with libtorch for the CPU inside: make bundle, without LIBTORCH=none."
fi

lib=$(cd "$torch/lib" && pwd -P)
case $lib in *:* | *\;*) stop "$lib: a path with a colon or semicolon can't be searched for libraries" ;; esac
LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

# The loader is asked before the program is started: what it would load, from where, and what it misses.
loads=$(LD_TRACE_LOADED_OBJECTS=1 "$program" 2>&1) || stop "$program can't be started here: $loads" \
	"It needs Linux on x86-64 with glibc @GLIBC@ or newer."
missing=$(printf '%s\n' "$loads" | grep 'not found')
case $missing in
"") ;;
*GLIBC_*) stop "this system is older than the program, which needs glibc @GLIBC@ or newer:" "$missing" \
	"Run it on a newer system, or make the bundle on one that is as old as this." ;;
*) stop "libraries are missing:" "$missing" \
	"A PyTorch with CUDA needs the nvidia packages that pip installs beside it; libstdc++ and libgcc come with the system (Debian: libstdc++6)." ;;
esac
for library in libtorch_cpu.so libc10.so; do
	case $loads in
	*"$library => $lib/$library ("*) ;;
	*) stop "$library would not come from $lib, but:" "$(printf '%s\n' "$loads" | grep "$library")" "Unset LD_PRELOAD and LD_LIBRARY_PATH." ;;
	esac
done
