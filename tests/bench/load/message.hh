// etcd's messages, laid and read field by field; only what the generator sends and checks.
#pragma once
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace message {

inline void put_varint(std::string &out, uint64_t n) {
  for (; n >= 128; n >>= 7) out.push_back(char(0x80 | (n & 127)));
  out.push_back(char(n));
}

inline void put_number(std::string &out, int field, uint64_t n) {
  if (!n) return;
  put_varint(out, uint64_t(field) << 3);
  put_varint(out, n);
}

inline void put_bytes(std::string &out, int field, std::string_view s) {
  put_varint(out, uint64_t(field) << 3 | 2);
  put_varint(out, s.size());
  out.append(s);
}

struct Malformed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Walk the fields of one message: `while (f.next())`, then `field`, `number` or `bytes`.
class Fields {
 public:
  explicit Fields(std::string_view s) : at_(s.data()), end_(s.data() + s.size()) {}

  int field = 0;
  uint64_t number = 0;
  std::string_view bytes;

  bool next() {
    if (at_ == end_) return false;
    const uint64_t tag = varint();
    field = int(tag >> 3);
    if ((tag & 7) == 0) {
      number = varint();
    } else if ((tag & 7) == 2) {
      const uint64_t n = varint();
      if (n > uint64_t(end_ - at_)) throw Malformed("message: cut field");
      bytes = {at_, size_t(n)};
      at_ += n;
    } else {
      throw Malformed("message: unexpected wire type");
    }
    return true;
  }

 private:
  uint64_t varint() {
    uint64_t n = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) break;
      const uint8_t c = uint8_t(*at_++);
      n |= uint64_t(c & 127) << shift;
      if (!(c & 128)) return n;
    }
    throw Malformed("message: bad varint");
  }

  const char *at_, *end_;
};

struct KeyValue {
  std::string_view key, value;
  uint64_t create = 0, mod = 0, version = 0;
};

inline KeyValue key_value(std::string_view s) {
  KeyValue kv;
  for (Fields f(s); f.next();) {
    if (f.field == 1) kv.key = f.bytes;
    if (f.field == 2) kv.create = f.number;
    if (f.field == 3) kv.mod = f.number;
    if (f.field == 4) kv.version = f.number;
    if (f.field == 5) kv.value = f.bytes;
  }
  return kv;
}

inline uint64_t revision(std::string_view header) {
  for (Fields f(header); f.next();)
    if (f.field == 3) return f.number;
  return 0;
}

struct RangeReply {
  uint64_t revision = 0, count = 0;
  bool more = false;
  std::vector<KeyValue> kvs;
};

inline void read_range(std::string_view s, RangeReply &r) {
  r.revision = r.count = 0;
  r.more = false;
  r.kvs.clear();
  for (Fields f(s); f.next();) {
    if (f.field == 1) r.revision = message::revision(f.bytes);
    if (f.field == 2) r.kvs.push_back(key_value(f.bytes));
    if (f.field == 3) r.more = f.number;
    if (f.field == 4) r.count = f.number;
  }
}

struct TxnReply {
  uint64_t revision = 0;
  bool succeeded = false;
  int responses = 0;
  std::string_view put, range;  // the first response of that kind
};

inline TxnReply txn_reply(std::string_view s) {
  TxnReply r;
  for (Fields f(s); f.next();) {
    if (f.field == 1) r.revision = message::revision(f.bytes);
    if (f.field == 2) r.succeeded = f.number;
    if (f.field != 3) continue;
    r.responses++;
    for (Fields op(f.bytes); op.next();) {
      if (op.field == 1) r.range = op.bytes;
      if (op.field == 2) r.put = op.bytes;
    }
  }
  return r;
}

inline std::string range_request(std::string_view key, std::string_view end, uint64_t limit,
                                 uint64_t revision = 0, bool keys_only = false) {
  std::string out;
  put_bytes(out, 1, key);
  if (!end.empty()) put_bytes(out, 2, end);
  put_number(out, 3, limit);
  put_number(out, 4, revision);
  put_number(out, 8, keys_only);
  return out;
}

inline void put_request(std::string &out, std::string_view key, std::string_view value) {
  out.clear();
  put_bytes(out, 1, key);
  put_bytes(out, 2, value);
}

// `MOD(key) = revision`, then Put; else Range if `fetch`. This is OptimisticPut of the apiserver.
inline void guarded_put(std::string &out, std::string_view key, std::string_view value,
                        uint64_t revision, bool fetch) {
  static thread_local std::string inner, op;
  inner.clear();
  put_number(inner, 2, 2);  // target: MOD; result EQUAL is 0 and so absent
  put_bytes(inner, 3, key);
  put_varint(inner, 6 << 3);  // mod_revision is a oneof: present even when 0
  put_varint(inner, revision);
  out.clear();
  put_bytes(out, 1, inner);
  put_request(inner, key, value);
  op.clear();
  put_bytes(op, 2, inner);
  put_bytes(out, 2, op);
  if (!fetch) return;
  op.clear();
  put_bytes(op, 1, range_request(key, {}, 0));
  put_bytes(out, 3, op);
}

inline std::string watch_request(std::string_view key, std::string_view end, uint64_t from,
                                 bool prev_kv) {
  std::string create, out;
  put_bytes(create, 1, key);
  if (!end.empty()) put_bytes(create, 2, end);
  put_number(create, 3, from);
  put_number(create, 4, 1);  // progress_notify, as the watch cache asks for
  put_number(create, 6, prev_kv);
  put_bytes(out, 1, create);
  return out;
}

}  // namespace message
