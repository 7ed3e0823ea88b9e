// What one lane asks next and what it must be told. A lane is one outstanding request, for ever.
#pragma once
#include "client.hh"
#include "message.hh"

inline uint64_t mixed(uint64_t n) {  // a bijection: unique in, unique and scattered out
  n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9u;
  n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
  return n ^ (n >> 31);
}

inline uint64_t scattered(uint64_t below) {
  static uint64_t state = 0x9e3779b97f4a7c15u;
  return mixed(state += 0x9e3779b97f4a7c15u) % below;
}

// Keys as the apiserver lays them out: resource, namespace, name. The number is the last 8 digits.
struct Population {
  std::string prefix;
  uint32_t count = 0;

  std::string end() const { return prefix.substr(0, prefix.size() - 1) + "0"; }
  std::string key(uint32_t i) const {
    char tail[32];
    snprintf(tail, sizeof tail, "ns-%03u/pod-%08u", i % 100, i);
    return prefix + tail;
  }
  static uint32_t number(std::string_view key) {
    uint32_t n = 0;
    for (char c : key.substr(key.size() < 8 ? 0 : key.size() - 8)) n = n * 10 + uint32_t(c - '0');
    return n;
  }
};

// Unique values: time sent, sequence number, the key's number, then noise.
class Values {
 public:
  explicit Values(size_t size) : size_(size), noise_(1 << 17, '\0') {
    if (size < 24 || size > 65536) throw std::runtime_error("value: 24 to 65536 bytes");
    for (size_t i = 0; i + 8 <= noise_.size(); i += 8) {
      const uint64_t n = scattered(UINT64_MAX);
      memcpy(&noise_[i], &n, 8);
    }
  }
  const std::string &next(uint64_t tag, uint64_t at_ns) {
    const uint64_t head[3] = {at_ns, ++made_, tag};
    value_.assign(reinterpret_cast<const char *>(head), 24);
    value_.append(noise_, made_ * 31 % 65536, size_ - 24);
    return value_;
  }
  bool match(std::string_view value, uint64_t tag) const {
    return value.size() == size_ && word(value, 2) == tag;
  }
  static uint64_t word(std::string_view value, int i) {
    uint64_t n;
    memcpy(&n, value.data() + 8 * i, 8);
    return n;
  }
  size_t size() const { return size_; }

 private:
  size_t size_;
  uint64_t made_ = 0;
  std::string noise_, value_;
};

struct Lane {
  http2::Connection *link = nullptr;
  uint64_t began = 0, key = 0, revision = 0, left = 0;
  std::string cursor;
  const char *wrong = nullptr;  // what was wrong with the last reply
  bool answered = false;
};

struct Workload {
  virtual ~Workload() = default;
  virtual const hpack::Constant &method() const = 0;
  virtual bool request(Lane &, uint32_t lane, std::string &out) = 0;   // false: nothing left to ask
  virtual const char *check(Lane &, std::string_view reply) = 0;       // null, or what is wrong
  virtual bool forgive(Lane &, int, const std::string &) { return false; }  // an error that is fair
  virtual bool streaming() const { return false; }
  uint64_t head = 0, items = 0, conflicts = 0;  // newest revision seen; keys listed; lost guards
};

struct RangeOne : Workload {
  RangeOne(Population p, size_t size) : keys(std::move(p)), values(size) {}
  const hpack::Constant &method() const override { return path::range; }
  bool request(Lane &lane, uint32_t, std::string &out) override {
    lane.key = scattered(keys.count);
    out = message::range_request(keys.key(uint32_t(lane.key)), {}, 1);
    return true;
  }
  const char *check(Lane &lane, std::string_view reply) override {
    message::read_range(reply, read);
    if (read.kvs.size() != 1 || read.count != 1) return "range: not exactly one key";
    if (read.kvs[0].key != keys.key(uint32_t(lane.key))) return "range: another key";
    if (!values.match(read.kvs[0].value, lane.key)) return "range: another value";
    if (read.revision < read.kvs[0].mod) return "range: header older than the key";
    return nullptr;
  }
  Population keys;
  Values values;
  message::RangeReply read;
};

struct Put : Workload {
  // `once`: each key in turn, one time (the preload); else uniform, for ever.
  Put(Population p, size_t size, bool once) : keys(std::move(p)), values(size), once(once) {}
  const hpack::Constant &method() const override { return path::put; }
  bool request(Lane &lane, uint32_t, std::string &out) override {
    if (once && turn == keys.count) return false;
    lane.key = once ? turn++ : scattered(keys.count);
    message::put_request(out, keys.key(uint32_t(lane.key)), values.next(lane.key, clock_ns()));
    return true;
  }
  const char *check(Lane &lane, std::string_view reply) override {
    const uint64_t at = [&] {
      for (message::Fields f(reply); f.next();)
        if (f.field == 1) return message::revision(f.bytes);
      return uint64_t(0);
    }();
    if (at <= lane.revision) return "put: revision did not move";
    head = std::max(head, lane.revision = at);
    return nullptr;
  }
  Population keys;
  Values values;
  bool once;
  uint64_t turn = 0;
};

struct TxnCreate : Workload {
  TxnCreate(std::string prefix, size_t size) : prefix(std::move(prefix)), values(size) {
    salt = clock_ns();
  }
  const hpack::Constant &method() const override { return path::txn; }
  bool request(Lane &, uint32_t, std::string &out) override {
    char name[32];
    const uint64_t n = mixed(salt + ++made);
    snprintf(name, sizeof name, "ns-%03u/%016lx", unsigned(n % 100), (unsigned long)n);
    message::guarded_put(out, prefix + name, values.next(made, clock_ns()), 0, false);
    return true;
  }
  const char *check(Lane &lane, std::string_view reply) override {
    const auto txn = message::txn_reply(reply);
    if (!txn.succeeded) return "create: the guard failed on a fresh key";
    if (txn.responses != 1 || txn.put.data() == nullptr) return "create: no put in the answer";
    if (txn.revision <= lane.revision) return "create: revision did not move";
    head = std::max(head, lane.revision = txn.revision);
    return nullptr;
  }
  std::string prefix;
  Values values;
  uint64_t made = 0, salt;
};

// Each lane owns every n-th key, so a guard fails only if the server is wrong about it.
struct TxnUpdate : Workload {
  TxnUpdate(Population p, size_t size, uint32_t lanes, Caller &caller)
      : keys(std::move(p)), values(size), lanes(lanes), mods(keys.count) {
    message::RangeReply page;
    std::string at = keys.prefix;
    do {
      const auto reply =
          caller.call(path::range, message::range_request(at, keys.end(), 10000, 0, true));
      message::read_range(reply, page);
      for (auto &kv : page.kvs)
        if (const uint32_t n = Population::number(kv.key); n < keys.count) mods[n] = kv.mod;
      if (!page.kvs.empty()) at = std::string(page.kvs.back().key) + '\0';
    } while (page.more);
  }
  const hpack::Constant &method() const override { return path::txn; }
  bool request(Lane &lane, uint32_t number, std::string &out) override {
    lane.key = number + lanes * scattered(keys.count / lanes);
    message::guarded_put(out, keys.key(uint32_t(lane.key)), values.next(lane.key, clock_ns()),
                         mods[lane.key], true);
    return true;
  }
  const char *check(Lane &lane, std::string_view reply) override {
    const auto txn = message::txn_reply(reply);
    if (!txn.succeeded) {
      conflicts++;
      message::read_range(txn.range, read);
      mods[lane.key] = read.kvs.empty() ? 0 : read.kvs[0].mod;
      return "update: the guard failed on a key of our own";
    }
    if (txn.responses != 1 || txn.put.data() == nullptr) return "update: no put in the answer";
    if (txn.revision <= mods[lane.key]) return "update: revision did not move";
    head = std::max(head, mods[lane.key] = txn.revision);
    return nullptr;
  }
  Population keys;
  Values values;
  uint64_t lanes;
  std::vector<uint64_t> mods;
  message::RangeReply read;
};

// Pages through the whole population, pinned to the first page's revision.
struct List : Workload {
  List(Population p, size_t size, uint64_t limit) : keys(std::move(p)), values(size), limit(limit) {}
  const hpack::Constant &method() const override { return path::range; }
  bool request(Lane &lane, uint32_t, std::string &out) override {
    const bool first = lane.cursor.empty();
    if (first) lane.revision = lane.left = 0;
    out = message::range_request(first ? keys.prefix : lane.cursor, keys.end(), limit,
                                 lane.revision);
    return true;
  }
  const char *check(Lane &lane, std::string_view reply) override {
    message::read_range(reply, read);
    const bool first = lane.cursor.empty();
    if (first) lane.left = keys.count;
    if (read.count != lane.left) return "list: count is not what is left";
    if (read.kvs.size() != std::min(limit, lane.left)) return "list: page of another size";
    if (read.more != (lane.left > limit)) return "list: more is wrong";
    std::string_view before = first ? std::string_view() : std::string_view(lane.cursor);
    for (auto &kv : read.kvs) {
      if (kv.key <= before) return "list: keys out of order";
      if (kv.value.size() != values.size()) return "list: another value";
      before = kv.key;
    }
    if (first) lane.revision = read.revision;
    items += read.kvs.size();
    lane.left -= read.kvs.size();
    lane.cursor = read.more ? std::string(before) + '\0' : "";
    return nullptr;
  }
  bool forgive(Lane &lane, int status, const std::string &why) override {
    if (status != 11 || why.find("has been compacted") == std::string::npos) return false;
    lane.cursor.clear();
    return true;
  }
  Population keys;
  Values values;
  uint64_t limit;
  message::RangeReply read;
};

// One stream a lane, one lease each; every answer is followed by the next keepalive.
struct KeepAlive : Workload {
  KeepAlive(uint32_t lanes, Caller &caller) {
    for (uint32_t i = 0; i < lanes; i++) {
      std::string grant;
      message::put_number(grant, 1, 600);
      const auto reply = caller.call(path::grant, grant);
      for (message::Fields f(reply); f.next();)
        if (f.field == 2) leases.push_back(f.number);
    }
    if (leases.size() != lanes) throw std::runtime_error("grant: no lease id");
  }
  const hpack::Constant &method() const override { return path::keepalive; }
  bool streaming() const override { return true; }
  bool request(Lane &lane, uint32_t number, std::string &out) override {
    lane.key = leases[number];
    out.clear();
    message::put_number(out, 1, lane.key);
    return true;
  }
  const char *check(Lane &lane, std::string_view reply) override {
    uint64_t lease = 0, ttl = 0;
    for (message::Fields f(reply); f.next();) {
      if (f.field == 2) lease = f.number;
      if (f.field == 3) ttl = f.number;
    }
    return lease == lane.key && ttl == 600 ? nullptr : "keepalive: another lease or ttl";
  }
  std::vector<uint64_t> leases;
};
