// What a device must remember of its cluster, in one SQLite file: shared documents, addresses that
// worked, when it joined. Survives kill -9 and loss of power.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/core/core.h"

struct sqlite3;

namespace hearth::cluster {

// Not thread-safe; one process at a time.
class Store {
 public:
  struct Contents {
    uint64_t boot = 0;  // how often the file was opened, this time included
    int64_t joined_unix_ms = 0;
    std::vector<Document> documents;
    std::vector<KnownAddress> addresses;
  };
  struct Changes {
    std::vector<Document> save;
    std::vector<std::string> erase;
    std::vector<KnownAddress> remember;
    std::vector<DeviceId> forget;
  };

  // Makes the file if there is none; `unix_ms` is then remembered as the time of joining. kCorrupt
  // when it is damaged (says what to do), kAlreadyExists when another process has it open,
  // kUnsupported when a newer version made it.
  static Result<std::unique_ptr<Store>> open(const std::string& path, int64_t unix_ms);
  ~Store();

  // As of open().
  const Contents& contents() const { return contents_; }
  // All or nothing; on disk when it returns.
  Result<void> apply(const Changes& changes);

 private:
  Store() = default;
  Result<void> prepare(int64_t unix_ms);
  Result<void> read();
  Result<void> run(const char* sql);
  Result<int64_t> number(const char* sql);
  Error failure(const char* doing) const;

  std::string path_;
  sqlite3* database_ = nullptr;
  Contents contents_;
};

}  // namespace hearth::cluster
