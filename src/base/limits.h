// Every bound in one place. A limit exists so that a hostile or broken peer costs a bounded amount.
#pragma once

#include <cstdint>

#include "base/units.h"

namespace hearth::limits {

inline constexpr int64_t kHttpBodyBytesMax = 32_MiB;
inline constexpr int64_t kHttpHeaderBytesMax = 64_KiB;
inline constexpr int kHttpConnectionsMax = 1024;

inline constexpr int kRanksMax = 64;                    // of one instance
inline constexpr int kDevicesMax = 256;                 // of one cluster
inline constexpr int kInstancesMax = 256;               // of one cluster
inline constexpr int64_t kFrameBytesMax = 256_MiB;      // one message between ranks
inline constexpr int64_t kDocumentBytesMax = 1_MiB;     // one replicated document
inline constexpr int64_t kRpcMessageBytesMax = 64_MiB;  // one gRPC message
inline constexpr int kDocumentsMax = 4096;       // replicated documents, deleted ones included
inline constexpr int kTombstonesMax = 1024;      // deleted documents remembered
inline constexpr int kAddressesMax = 2048;       // of devices, known ones and candidates
inline constexpr int kModelsPerDeviceMax = 512;  // that one device tells of
inline constexpr int64_t kSyncBytesMax = 8_MiB;  // documents in one message between devices

inline constexpr int kSequencesMax = 64;        // running together in one instance
inline constexpr int kQueuedRequestsMax = 256;  // waiting for an instance
inline constexpr int kStepRowsMax = 4096;       // token rows of one step

static_assert(kFrameBytesMax >= kRpcMessageBytesMax);
static_assert(kSequencesMax <= kStepRowsMax);
static_assert(kDocumentsMax >= 2 * kDevicesMax + kInstancesMax + kTombstonesMax);
static_assert(kSyncBytesMax > kDocumentBytesMax && kSyncBytesMax < kRpcMessageBytesMax);

}  // namespace hearth::limits
