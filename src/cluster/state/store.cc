#include "cluster/state/store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <nlohmann/json.hpp>

namespace hearth::cluster {
namespace {

constexpr int kSchema = 1;

constexpr const char* kTables = R"(
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS documents (
    key TEXT PRIMARY KEY, version TEXT NOT NULL, body TEXT NOT NULL, deleted INTEGER NOT NULL,
    epoch INTEGER NOT NULL, written_unix_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS addresses (device TEXT PRIMARY KEY, address TEXT NOT NULL) WITHOUT ROWID;
)";

// One prepared statement. Errors stay until the end: done() says whether all went well.
class Statement {
 public:
  Statement(sqlite3* database, const char* sql) {
    code_ = sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(int index, const std::string& text) {
    keep(sqlite3_bind_text(statement_, index, text.data(), static_cast<int>(text.size()),
                           SQLITE_TRANSIENT));
    return *this;
  }
  Statement& bind(int index, int64_t number) {
    keep(sqlite3_bind_int64(statement_, index, number));
    return *this;
  }
  bool row() {
    if (code_ == SQLITE_OK || code_ == SQLITE_ROW) code_ = sqlite3_step(statement_);
    return code_ == SQLITE_ROW;
  }
  bool done() {
    while (row()) {
    }
    return code_ == SQLITE_DONE;
  }
  std::string text(int column) {
    const unsigned char* bytes = sqlite3_column_text(statement_, column);
    const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
    return bytes == nullptr ? "" : std::string(reinterpret_cast<const char*>(bytes), size);
  }
  int64_t number(int column) { return sqlite3_column_int64(statement_, column); }

 private:
  void keep(int code) {
    if (code_ == SQLITE_OK) code_ = code;
  }

  sqlite3_stmt* statement_ = nullptr;
  int code_ = SQLITE_OK;
};

// A version that does not parse is empty, and such a document is dropped when it is loaded.
VectorClock parse_version(const std::string& text) {
  VectorClock version;
  const auto value = nlohmann::json::parse(text, nullptr, false);
  if (!value.is_object()) return version;
  for (const auto& [device, count] : value.items()) {
    if (count.is_number_unsigned()) version[device] = count.get<uint64_t>();
  }
  return version;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const std::string& path, int64_t unix_ms) {
  std::unique_ptr<Store> store(new Store);
  store->path_ = path;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  if (sqlite3_open_v2(path.c_str(), &store->database_, flags, nullptr) != SQLITE_OK) {
    return store->failure("opening");
  }
  sqlite3_extended_result_codes(store->database_, 1);
  HEARTH_RETURN_IF_ERROR(store->prepare(unix_ms));
  HEARTH_RETURN_IF_ERROR(store->read());
  return store;
}

Store::~Store() { sqlite3_close_v2(database_); }

Error Store::failure(const char* doing) const {
  const int code = sqlite3_errcode(database_) & 0xff;
  const std::string why = sqlite3_errmsg(database_);
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
    return Error(
        Code::kCorrupt,
        fmt::format("{} is damaged ({}): restore it from a backup, or move it away; instances "
                    "and peers are then learnt from the other devices again",
                    path_, why));
  }
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
    return Error(
        Code::kAlreadyExists,
        fmt::format("{} is in use by another hearth; stop it, or choose another --data-dir",
                    path_));
  }
  return Error(code == SQLITE_FULL ? Code::kResourceExhausted : Code::kInternal,
               fmt::format("{} {}: {}", doing, path_, why));
}

Result<void> Store::run(const char* sql) {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return failure("writing");
  return {};
}

Result<int64_t> Store::number(const char* sql) {
  Statement statement(database_, sql);
  if (!statement.row()) return failure("reading");
  return statement.number(0);
}

Result<void> Store::prepare(int64_t unix_ms) {
  // Exclusive: two daemons with one identity and one state would be one device twice.
  HEARTH_RETURN_IF_ERROR(run("PRAGMA locking_mode = EXCLUSIVE"));
  HEARTH_RETURN_IF_ERROR(run("PRAGMA journal_mode = WAL"));
  HEARTH_RETURN_IF_ERROR(run("PRAGMA synchronous = FULL"));
  {
    Statement check(database_, "PRAGMA quick_check(1)");
    if (!check.row()) return failure("checking");
    if (const std::string verdict = check.text(0); verdict != "ok") {
      return Error(
          Code::kCorrupt,
          fmt::format("{} is damaged ({}): restore it from a backup, or move it away; instances "
                      "and peers are then learnt from the other devices again",
                      path_, verdict));
    }
  }
  HEARTH_TRY(const int64_t schema, number("PRAGMA user_version"));
  if (schema > kSchema) {
    return Error(Code::kUnsupported,
                 fmt::format("{} was written by a newer hearth: update this one", path_));
  }
  HEARTH_RETURN_IF_ERROR(run("BEGIN IMMEDIATE"));
  HEARTH_RETURN_IF_ERROR(run(kTables));
  HEARTH_RETURN_IF_ERROR(run("PRAGMA user_version = 1"));
  if (!Statement(database_, "INSERT OR IGNORE INTO meta VALUES ('joined_unix_ms', ?1), ('boot', 0)")
           .bind(1, unix_ms)
           .done()) {
    return failure("writing");
  }
  HEARTH_RETURN_IF_ERROR(run("UPDATE meta SET value = value + 1 WHERE key = 'boot'"));
  return run("COMMIT");
}

Result<void> Store::read() {
  HEARTH_TRY(const int64_t boot, number("SELECT value FROM meta WHERE key = 'boot'"));
  contents_.boot = static_cast<uint64_t>(boot);
  HEARTH_TRY(contents_.joined_unix_ms,
             number("SELECT value FROM meta WHERE key = 'joined_unix_ms'"));
  Statement documents(database_,
                      "SELECT key, version, body, deleted, epoch, written_unix_ms FROM documents");
  while (documents.row()) {
    contents_.documents.push_back({.key = documents.text(0),
                                   .version = parse_version(documents.text(1)),
                                   .body = documents.text(2),
                                   .deleted = documents.number(3) != 0,
                                   .epoch = documents.number(4),
                                   .written_unix_ms = documents.number(5)});
  }
  if (!documents.done()) return failure("reading");
  Statement addresses(database_, "SELECT device, address FROM addresses");
  while (addresses.row()) {
    contents_.addresses.push_back({DeviceId(addresses.text(0)), addresses.text(1)});
  }
  if (!addresses.done()) return failure("reading");
  return {};
}

Result<void> Store::apply(const Changes& changes) {
  HEARTH_RETURN_IF_ERROR(run("BEGIN IMMEDIATE"));
  bool good = true;
  for (const Document& document : changes.save) {
    good = good &&
           Statement(database_, "INSERT OR REPLACE INTO documents VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
               .bind(1, document.key)
               .bind(2, nlohmann::json(document.version).dump())
               .bind(3, document.body)
               .bind(4, document.deleted ? 1 : 0)
               .bind(5, document.epoch)
               .bind(6, document.written_unix_ms)
               .done();
  }
  for (const std::string& key : changes.erase) {
    good = good && Statement(database_, "DELETE FROM documents WHERE key = ?1").bind(1, key).done();
  }
  for (const KnownAddress& known : changes.remember) {
    good = good && Statement(database_, "INSERT OR REPLACE INTO addresses VALUES (?1, ?2)")
                       .bind(1, known.id.str())
                       .bind(2, known.address)
                       .done();
  }
  for (const DeviceId& id : changes.forget) {
    good = good &&
           Statement(database_, "DELETE FROM addresses WHERE device = ?1").bind(1, id.str()).done();
  }
  if (good) {
    auto committed = run("COMMIT");
    if (committed) return {};
    sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
    return committed;
  }
  const Error error = failure("writing");
  sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
  return error;
}

}  // namespace hearth::cluster
