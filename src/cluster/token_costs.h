// What the parts of a model cost the devices that hold it: measured where a device has run them,
// counted elsewhere. Pure functions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/layer_cuts.h"
#include "cluster/view.h"

namespace hearth::cluster {

// Bytes that a token reads, and multiply-adds that it needs, in so many layers of a model, with the
// head or without.
struct TokenCost {
  double bytes = 0;
  double multiply_adds = 0;
};
TokenCost token_cost(const ModelFacts& model, int layers, bool head);

// What `device` says of the same files; nullptr if it does not hold them. The same name for
// different files on two devices does not make one model.
const ModelFacts* find_same(const DeviceFacts& device, const ModelFacts& model);

// Costs have one unit, a byte that a token reads, so that devices that have timed the model, or
// some of its layers, can be compared with those that have not: a layer that was timed costs as
// many bytes as that device reads in such a time, by what it needs for the layers it has timed.
// Where nothing is timed, costs are the counted bytes and speeds come from memory bandwidth.
class TokenCosts {
 public:
  // Of `model` with a KV cache of the numbers `kv`. What the devices say of it may be anything.
  TokenCosts(const ModelFacts& model, const std::string& kv,
             const std::vector<const DeviceFacts*>& devices);

  // Whether a layer was timed somewhere.
  bool measured() const { return !timed_.empty(); }
  const LayerCosts& costs() const { return costs_; }
  // Costs a second; 0: not known.
  double speed(const DeviceFacts& device) const;
  // Of one token on the device in layers [begin, end), and in embedding and head if these are with
  // them; nothing if its speed is not known.
  std::optional<double> seconds(const DeviceFacts& device, int begin, int end,
                                bool with_head) const;
  // Whether the device has timed layers.
  bool has_timed(const DeviceFacts& device) const { return timed_.contains(device.id); }

 private:
  struct Timed {
    const TokenTimes* times = nullptr;
    double speed = 0;
  };

  void fit();
  // Of a part that `ns` reads from what a device measured: the mean of those who have timed it.
  template <class Ns>
  double cost_of(Ns ns, double counted) const;

  LayerCosts costs_;
  std::map<DeviceId, Timed> timed_;
  double reached_;  // of their memory bandwidth, by devices that have timed nothing
};

}  // namespace hearth::cluster
