// Takes the place of candle-flash-attn-v3's file of this name, which has 80 kernels; the model uses these two.
#include "flash_fwd_launch_template.h"

namespace {

// Clusters of two blocks share the keys and values that they load; they need an even number of blocks of queries.
template <int Cluster>
void run(Flash_fwd_params &params, cudaStream_t stream) {
  // Head size, queries and keys of a block, its warps, stages, and neither shared memory of Q and V nor splits.
  using Traits = Flash_fwd_kernel_traits<128, 128, 176, 12, 2, false, Cluster, cutlass::bfloat16_t, false>;
  run_flash_fwd<Traits, false, false, flash::FixedSeqLenTraits, flash::FixedSeqLenTraits>(params, stream);
}

} // namespace

template <>
void run_mha_fwd_<cutlass::bfloat16_t, 128>(Flash_fwd_params &params, cudaStream_t stream) {
  const bool plain = !params.is_causal && !params.is_local && params.window_size_left < 0 &&
                     params.window_size_right < 0 && params.cu_seqlens_q == nullptr &&
                     params.block_table == nullptr && params.num_splits <= 1;
  if (!plain) {
    fprintf(stderr, "not built: FlashAttention 3 with a mask, a window, sequences of many lengths or pages\n");
    abort();
  }
  int device = 0, processors = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  // There is a block for each processor, or for each block of queries.
  if (cutlass::ceil_div(params.seqlen_q, 128) % 2 == 0 && processors % 2 == 0)
    run<2>(params, stream);
  else
    run<1>(params, stream);
}
