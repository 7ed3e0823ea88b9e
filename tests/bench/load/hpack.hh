// HPACK (RFC 7541) as grpc-go's client speaks it: every field is indexed if the peer's table
// has room for it, strings are Huffman coded where that is shorter.
#pragma once
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tables.hh"

namespace hpack {

inline void put_number(std::string &out, uint8_t high, int prefix, uint64_t n) {
  const uint64_t most = (1u << prefix) - 1;
  if (n < most) {
    out.push_back(char(high | n));
    return;
  }
  out.push_back(char(high | most));
  for (n -= most; n >= 128; n >>= 7) out.push_back(char(0x80 | (n & 127)));
  out.push_back(char(n));
}

inline size_t huffman_bits(std::string_view s) {
  size_t bits = 0;
  for (unsigned char c : s) bits += kHuffman[c].length;
  return bits;
}

inline void put_string(std::string &out, std::string_view s) {
  const size_t coded = (huffman_bits(s) + 7) / 8;
  if (coded >= s.size()) {
    put_number(out, 0, 7, s.size());
    out.append(s);
    return;
  }
  put_number(out, 0x80, 7, coded);
  uint64_t held = 0;
  int count = 0;
  for (unsigned char c : s) {
    held = held << kHuffman[c].length | kHuffman[c].bits;
    for (count += kHuffman[c].length; count >= 8; count -= 8) out.push_back(char(held >> (count - 8)));
  }
  if (count) out.push_back(char(held << (8 - count) | (0xff >> count)));
}

// One request header whose bytes are laid once and copied ever after.
struct Constant {
  std::string name_coded, value_coded;
  size_t size;         // as the dynamic table counts it
  int exact = 0;       // index in the static table, 0 if none
  int name_index = 0;  // of a static entry with this name, 0 if none

  Constant(std::string_view name, std::string_view value) : size(name.size() + value.size() + 32) {
    put_string(name_coded, name);
    put_string(value_coded, value);
    for (int i = 61; i > 0; i--) {
      if (name != kStatic[i].name) continue;
      name_index = i;
      if (value == kStatic[i].value) exact = i;
    }
  }
};

// The sender's side of one connection. Headers are Constants, told apart by address.
class Encoder {
 public:
  void limit(size_t peers) {  // SETTINGS_HEADER_TABLE_SIZE arrived
    most_ = peers < 4096 ? peers : 4096;
    update_ = true;
    evict(0);
  }

  void begin(std::string &out) {
    if (update_) put_number(out, 0x20, 5, most_);
    update_ = false;
  }

  void put(std::string &out, const Constant &h) {
    if (h.exact) return put_number(out, 0x80, 7, h.exact);
    for (size_t i = 0; i < table_.size(); i++)
      if (table_[i].of == &h) return put_number(out, 0x80, 7, 62 + i);
    literal(out, h.name_index, h, h.value_coded, h.size, true);
  }

  // A header whose value differs each time, as `grpc-timeout` does.
  void put_changing(std::string &out, const Constant &h, std::string_view value) {
    int name = h.name_index;
    for (size_t i = 0; i < table_.size() && !name; i++)
      if (table_[i].name == &h) name = 62 + int(i);
    coded_.clear();
    put_string(coded_, value);
    literal(out, name, h, coded_, h.size + value.size(), false);
  }

 private:
  struct Entry {
    const Constant *of, *name;  // `of` is null where the value was a changing one
    size_t size;
  };

  void literal(std::string &out, int name, const Constant &h, std::string_view value, size_t size,
               bool constant) {
    const bool index = size <= most_;
    put_number(out, index ? 0x40 : 0, index ? 6 : 4, name);
    if (!name) out.append(h.name_coded);
    out.append(value);
    if (!index) return;
    evict(size);
    table_.push_front({constant ? &h : nullptr, &h, size});
    held_ += size;
  }

  void evict(size_t room_for) {
    while (held_ + room_for > most_ && !table_.empty()) {
      held_ -= table_.back().size;
      table_.pop_back();
    }
  }

  std::deque<Entry> table_;
  std::string coded_;
  size_t held_ = 0, most_ = 4096;
  bool update_ = false;
};

struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class HuffmanTree {
 public:
  HuffmanTree() : nodes_(1) {
    for (int c = 0; c < 257; c++) {
      size_t at = 0;
      for (int bit = kHuffman[c].length - 1; bit >= 0; bit--) {
        const int side = kHuffman[c].bits >> bit & 1;
        if (!nodes_[at].next[side]) {
          nodes_[at].next[side] = nodes_.size();
          nodes_.emplace_back();
        }
        at = nodes_[at].next[side];
      }
      nodes_[at].symbol = c;
    }
  }

  std::string decode(std::string_view s) const {
    std::string out;
    size_t at = 0;
    for (unsigned char byte : s)
      for (int bit = 7; bit >= 0; bit--) {
        at = nodes_[at].next[byte >> bit & 1];
        if (nodes_[at].symbol == 256) throw Broken("hpack: end-of-string code inside a string");
        if (nodes_[at].symbol < 0) continue;
        out.push_back(char(nodes_[at].symbol));
        at = 0;
      }
    return out;
  }

 private:
  struct Node {
    size_t next[2] = {0, 0};
    int symbol = -1;
  };
  std::vector<Node> nodes_;
};

// What a reply's header block says, as far as a gRPC client looks at it.
struct Verdict {
  int status = 0;  // :status, 0 if absent
  int grpc_status = -1;
  bool grpc_content = false;
  std::string message;
};

// The receiver's side of one connection. A block that changed nothing is remembered.
class Decoder {
 public:
  const Verdict &decode(std::string_view block) {
    for (auto &known : memo_)
      if (known.first == block) return known.second;
    const size_t before = inserted_;
    pure_ = true;
    Verdict verdict = parse(block);
    if (inserted_ != before || !pure_) memo_.clear();
    if (inserted_ == before && pure_ && memo_.size() < 8) {
      memo_.emplace_back(std::string(block), std::move(verdict));
      return memo_.back().second;
    }
    last_ = std::move(verdict);
    return last_;
  }

 private:
  using Pair = std::pair<std::string, std::string>;

  Verdict parse(std::string_view b) {
    Verdict v;
    size_t i = 0;
    while (i < b.size()) {
      const uint8_t c = b[i];
      if (c & 0x80) {
        note(v, entry(number(b, i, 7)));
      } else if ((c & 0xe0) == 0x20) {
        most_ = number(b, i, 5);
        pure_ = false;
        evict(0);
      } else {
        const bool index = c & 0x40;
        const size_t name = number(b, i, index ? 6 : 4);
        Pair field;
        field.first = name ? entry(name).first : text(b, i);
        field.second = text(b, i);
        note(v, field);
        if (index) insert(std::move(field));
      }
    }
    return v;
  }

  static void note(Verdict &v, const Pair &f) {
    if (f.first == ":status") v.status = std::atoi(f.second.c_str());
    if (f.first == "grpc-status") v.grpc_status = std::atoi(f.second.c_str());
    if (f.first == "grpc-message") v.message = f.second;
    if (f.first == "content-type") v.grpc_content = f.second.rfind("application/grpc", 0) == 0;
  }

  static size_t number(std::string_view b, size_t &i, int prefix) {
    const size_t most = (1u << prefix) - 1;
    size_t n = uint8_t(b[i++]) & most;
    for (int shift = 0; n >= most; shift += 7) {
      if (i >= b.size() || shift > 28) throw Broken("hpack: bad number");
      const uint8_t c = b[i++];
      n += size_t(c & 127) << shift;
      if (!(c & 128)) break;
    }
    return n;
  }

  static std::string text(std::string_view b, size_t &i) {
    static const HuffmanTree tree;
    if (i >= b.size()) throw Broken("hpack: cut string");
    const bool coded = b[i] & 0x80;
    const size_t n = number(b, i, 7);
    if (n > b.size() - i) throw Broken("hpack: cut string");
    const auto raw = b.substr(i, n);
    i += n;
    return coded ? tree.decode(raw) : std::string(raw);
  }

  Pair entry(size_t index) const {
    if (index >= 1 && index <= 61) return {kStatic[index].name, kStatic[index].value};
    if (index < 62 || index - 62 >= table_.size()) throw Broken("hpack: no such entry");
    return table_[index - 62];
  }

  void insert(Pair field) {
    const size_t size = field.first.size() + field.second.size() + 32;
    evict(size);
    if (size > most_) return;
    held_ += size;
    inserted_++;
    table_.push_front(std::move(field));
  }

  void evict(size_t room_for) {
    while (held_ + room_for > most_ && !table_.empty()) {
      held_ -= table_.back().first.size() + table_.back().second.size() + 32;
      table_.pop_back();
      pure_ = false;
    }
  }

  std::deque<Pair> table_;
  std::vector<std::pair<std::string, Verdict>> memo_;
  Verdict last_;
  size_t held_ = 0, most_ = 4096, inserted_ = 0;
  bool pure_ = true;
};

}  // namespace hpack
