#!/usr/bin/env bash
# Stands in for nvcc while candle's kernels are built. candle names one architecture; objects get the list of
# UNFLATTEN_GENCODES instead. PTX stays as asked: it is compiled further by the driver.
# Kernels of FlashAttention other than those that UNFLATTEN_FLASH_KEEP matches become stubs that say so.
set -f
nvcc=$(dirname "$(readlink -f "$0")")/../bin/nvcc
object=0
for word in "$@"; do [ "$word" = -c ] && object=1; done
[ "$object" = 1 ] || exec "$nvcc" "$@"
words=()
for word in "$@"; do
  case $word in
    -gencode=*) [ -n "${UNFLATTEN_GENCODES:-}" ] || words+=("$word") ;;
    *) words+=("$word") ;;
  esac
done
for gencode in ${UNFLATTEN_GENCODES:-}; do words+=("-gencode=$gencode"); done
source=${words[0]}
for word in "$@"; do case $word in *.cu) source=$word ;; esac; done
name=${source##*/}
case $name in
  flash_fwd_*_sm80.cu)
    if [ -n "${UNFLATTEN_FLASH_KEEP:-}" ] && ! [[ $name =~ $UNFLATTEN_FLASH_KEEP ]]; then
      folder=$(mktemp -d)
      trap 'rm -rf "$folder"' EXIT
      sed -e 's|#include "flash_fwd_launch_template.h"|#include <cstdio>\n#include <cstdlib>\n#include <cutlass/numeric_types.h>\n#include "flash.h"|' \
          -e 's|run_mha_fwd_[a-z0-9_]*<.*(params, stream);|fprintf(stderr, "not built: '"$name"'\\n"); abort();|' "$source" > "$folder/$name"
      for i in "${!words[@]}"; do [ "${words[$i]}" = "$source" ] && words[$i]=$folder/$name; done
      "$nvcc" "${words[@]}" "-I$(dirname "$source")"
      exit $?
    fi
    ;;
esac
exec "$nvcc" "${words[@]}"
