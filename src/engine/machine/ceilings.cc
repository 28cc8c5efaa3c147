#include <utility>

#include "engine/kernels/isa.h"
#include "engine/machine.h"
#include "engine/machine/probe.h"

namespace hearth::engine {
namespace {

class MeasuredCeilings final : public Ceilings {
 public:
  MeasuredCeilings(std::unique_ptr<ThreadPool> pool, const kernels::Kernels& kernels)
      : pool_(std::move(pool)), probe_(*pool_, kernels) {}

  // Fewer threads than all may read faster.
  double read_rate(std::span<const std::byte> memory) override {
    Rate best;
    for (const int threads : thread_counts(pool_->threads())) {
      best = better(best, probe_.read(threads, memory));
    }
    return best.per_second;
  }

  double multiply_add_rate(bool quantised) override {
    return probe_.multiply_adds(quantised).per_second;
  }

 private:
  std::unique_ptr<ThreadPool> pool_;
  Probe probe_;
};

}  // namespace

Result<std::unique_ptr<Ceilings>> Ceilings::create() {
  HEARTH_TRY(const kernels::Isa* isa, kernels::choose_isa());
  HEARTH_TRY(std::unique_ptr<ThreadPool> pool, ThreadPool::create(physical_cores()));
  return std::unique_ptr<Ceilings>(
      std::make_unique<MeasuredCeilings>(std::move(pool), *isa->kernels));
}

}  // namespace hearth::engine
