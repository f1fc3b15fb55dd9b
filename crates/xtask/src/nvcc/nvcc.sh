#!/usr/bin/env bash
# Stands in for nvcc while candle's kernels are built: see docs/gpu.md.
# - candle names one architecture. Objects get the list of UNFLATTEN_GENCODES instead, those of FlashAttention 3 Hopper
#   alone, and PTX, which the driver compiles further, the oldest.
# - Of FlashAttention 2, kernels that UNFLATTEN_FLASH_KEEP does not match become stubs that say so. Of FlashAttention 3
#   the kernels in the folder "instead" take the place of candle's, and all others become stubs.
set -f
here=$(dirname "$(readlink -f "$0")")
nvcc=$here/../bin/nvcc
object=0
source=
words=()
for word in "$@"; do
  case $word in
    -c) object=1 ;;
    *.cu) source=$word ;;
  esac
  case $word in
    -gencode=*) ;;
    *) words+=("$word") ;;
  esac
done
[ -n "$source" ] || exec "$nvcc" "$@"
name=${source##*/}
case $object/$source in
  0/*) gencodes=$UNFLATTEN_PTX ;;
  1/*hkernel/*) gencodes=arch=compute_90a,code=sm_90a ;;
  *) gencodes=$UNFLATTEN_GENCODES ;;
esac
for gencode in $gencodes; do words+=("-gencode=$gencode"); done

# Compiles $1 in the place of the source, with the headers beside the source.
compile() {
  for i in "${!words[@]}"; do [ "${words[$i]}" = "$source" ] && words[$i]=$1; done
  "$nvcc" "${words[@]}" "-I$(dirname "$source")"
  exit $?
}

stub() {
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  sed -e 's|#include "flash_fwd_launch_template.h"|#include <cstdio>\n#include <cstdlib>\n#include <cutlass/numeric_types.h>\n#include "flash.h"|' \
      -e 's|run_mha_fwd_[a-z0-9_]*<.*(params, stream);|fprintf(stderr, "not built: '"$name"'\\n"); abort();|' "$source" > "$folder/$name"
  compile "$folder/$name"
}

case $source in
  *flash_fwd_*_sm80.cu) [[ $name =~ $UNFLATTEN_FLASH_KEEP ]] || stub ;;
  *hkernel/flash_fwd_*_sm90.cu)
    [ -f "$here/instead/$name" ] || stub
    words+=(-include "$here/cutlass_3_8.h")
    compile "$here/instead/$name"
    ;;
esac
exec "$nvcc" "${words[@]}"
