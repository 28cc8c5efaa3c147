// The JSON inside documents. Writers never fail; readers refuse what is missing, mistyped or out of
// bounds.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/view.h"

namespace hearth::cluster {

// Texts and lists longer than the readers accept are cut.
std::string encode(const DeviceFacts& facts);
std::string encode(const std::vector<RunnerView>& runners);
std::string encode(const InstanceView& instance);

// kCorrupt. The ids come from the document's key, not from its body.
Result<DeviceFacts> decode_facts(const DeviceId& id, const std::string& body);
Result<std::vector<RunnerView>> decode_runners(const DeviceId& id, const std::string& body);
Result<InstanceView> decode_instance(const InstanceId& id, const std::string& body);

}  // namespace hearth::cluster
