// Read before all else of candle-flash-attn-v3, which was written for a CUTLASS before 3.6; CUDA 13 refuses those. Since
// 3.6 the copies of the tensor memory accelerator name all that their traits depend on; here they may name the operation
// alone, as before. (3.6 itself will not do: its pipelines do not fence their barriers, which these kernels count on.)
#pragma once
#include <cute/tensor.hpp>
#include <cute/atom/copy_traits_sm90_tma.hpp>

namespace cute {

template <class Operation>
struct TMA_LOAD_Unpack<Operation> {
  template <class Bits, class From, class FromLayout, class To, class ToLayout>
  CUTE_HOST_DEVICE friend constexpr void copy_unpack(Copy_Traits<Operation, Bits> const &traits,
                                                     Tensor<From, FromLayout> const &from, Tensor<To, ToLayout> &to) {
    static_assert(is_smem<To>::value, "the accelerator loads into shared memory");
    auto place = from.data().coord_;
    detail::explode_tuple(detail::CallCOPY<Operation>{}, traits.opargs_, tuple_seq<decltype(traits.opargs_)>{},
                          make_tuple(cute::raw_pointer_cast(to.data())), seq<0>{}, place,
                          tuple_seq<decltype(place)>{});
  }
};

} // namespace cute
