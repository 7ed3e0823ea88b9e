// The client's half of gRPC over HTTP/2: frames, header blocks and both directions of flow control.
// A protocol error of the server throws: a generator has no reason to be lenient.
#pragma once
#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "hpack.hh"
#include "socket.hh"

namespace http2 {

enum Frame : uint8_t { DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONT };
enum Flag : uint8_t { ACK = 1, END_STREAM = 1, END_HEADERS = 4, PADDED = 8, HAS_PRIORITY = 32 };

inline uint32_t get32(const char *p) {
  uint32_t n;
  memcpy(&n, p, 4);
  return ntohl(n);
}
inline void put32(std::string &out, uint32_t n) {
  n = htonl(n);
  out.append(reinterpret_cast<const char *>(&n), 4);
}
inline void put_frame(std::string &out, size_t size, Frame type, uint8_t flags, uint32_t stream) {
  const char head[5] = {char(size >> 16), char(size >> 8), char(size), char(type), char(flags)};
  out.append(head, 5);
  put32(out, stream);
}

struct Stream {
  uint32_t id = 0, lane = 0;
  int64_t window = 0;     // what we may still send
  int64_t unclaimed = 0;  // received and not yet given back to the server
  bool headers_seen = false, half_closed = false, close_after = false;
  uint32_t messages = 0;
  std::string partial;  // of a message in more than one frame
  std::string held;     // DATA that waits for the server's window
};

class Connection;

// Whoever made the streams.
struct Receiver {
  virtual ~Receiver() = default;
  virtual void message(Connection &, Stream &, std::string_view) = 0;
  virtual void ended(Connection &, Stream &, int grpc_status, const std::string &why) = 0;
};

inline const char *frame_error(uint32_t code) {
  return code == 7 ? "stream refused" : code == 8 ? "stream cancelled" : "stream reset";
}

// The request headers in the order grpc-go sends them.
struct Headers {
  hpack::Constant method{":method", "POST"}, http{":scheme", "http"}, https{":scheme", "https"};
  hpack::Constant type{"content-type", "application/grpc"}, agent{"user-agent", "grpc-go/1.79.3"};
  hpack::Constant te{"te", "trailers"}, api{"client-api-version", "3.6"};
  hpack::Constant leader{"hasleader", "true"}, timeout{"grpc-timeout", ""};
};

class Connection {
 public:
  Connection(const Address &to, Receiver &receiver, uint32_t window)
      : index(0), socket_(to), to_(receiver), ours_(window), tls_(!to.ca.empty()),
        authority_(":authority", to.host + ":" + to.port) {
    out_ = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    put_frame(out_, 12, SETTINGS, 0, 0);
    out_.append("\0\2\0\0\0\0\0\4", 8);  // ENABLE_PUSH 0, INITIAL_WINDOW_SIZE
    put32(out_, ours_);
    put_frame(out_, 4, WINDOW, 0, 0);
    put32(out_, 4 * ours_ - 65535);
  }

  int index;
  bool dirty = false, wants_write = false;
  uint64_t bytes_in = 0;

  int fd() const { return socket_.fd(); }
  bool ready() const { return settled_; }
  uint32_t streams_max() const { return streams_max_; }
  size_t open_streams() const { return streams_.size(); }

  // Open a stream. `timeout` is the changing grpc-timeout, empty for none.
  Stream &open(const hpack::Constant &path, uint32_t lane, std::string_view timeout, bool leader) {
    static const Headers h;
    auto &s = streams_[next_id_];
    s.id = next_id_;
    s.lane = lane;
    s.window = initial_;
    next_id_ += 2;
    dirty = true;
    block_.clear();
    encoder_.begin(block_);
    encoder_.put(block_, h.method);
    encoder_.put(block_, tls_ ? h.https : h.http);
    encoder_.put(block_, path);
    encoder_.put(block_, authority_);
    encoder_.put(block_, h.type);
    encoder_.put(block_, h.agent);
    encoder_.put(block_, h.te);
    if (!timeout.empty()) encoder_.put_changing(block_, h.timeout, timeout);
    encoder_.put(block_, h.api);
    if (leader) encoder_.put(block_, h.leader);
    put_frame(out_, block_.size(), HEADERS, END_HEADERS, s.id);
    out_.append(block_);
    return s;
  }

  void send(Stream &s, std::string_view message, bool last) {
    char prefix[5] = {0};
    const uint32_t size = htonl(uint32_t(message.size()));
    memcpy(prefix + 1, &size, 4);
    const int64_t all = int64_t(message.size()) + 5;
    s.close_after = last;
    dirty = true;
    if (s.held.empty() && all <= window_ && all <= s.window && all <= frame_max_) {
      put_frame(out_, size_t(all), DATA, last ? END_STREAM : 0, s.id);
      out_.append(prefix, 5).append(message);
      window_ -= all;
      s.window -= all;
      s.half_closed = last;
      return;
    }
    s.held.append(prefix, 5).append(message);
    pump(s);
  }

  // Read what is there and hand every whole message to the receiver.
  void receive() {
    static std::string buffer(1 << 20, '\0');
    do {
      memcpy(buffer.data(), rest_.data(), rest_.size());
      const size_t before = rest_.size();
      const size_t got = socket_.read(buffer.data() + before, (512 << 10));
      if (!got) return;
      bytes_in += got;
      const size_t used = frames(buffer.data(), before + got);
      rest_.assign(buffer.data() + used, before + got - used);
    } while (socket_.pending());
  }

  // True when all of it left.
  bool flush() {
    while (sent_ < out_.size()) {
      const size_t n = socket_.write(out_.data() + sent_, out_.size() - sent_);
      if (!n) return false;
      sent_ += n;
    }
    out_.clear();
    sent_ = 0;
    return true;
  }

 private:
  size_t frames(const char *p, size_t n) {
    size_t at = 0;
    while (n - at >= 9) {
      const size_t size = get32(p + at) >> 8;
      if (size > 16384) throw hpack::Broken("http2: frame above our agreed size");
      if (n - at - 9 < size) break;
      frame(Frame(p[at + 3]), uint8_t(p[at + 4]), get32(p + at + 5) & 0x7fffffff,
            {p + at + 9, size});
      at += 9 + size;
    }
    return at;
  }

  void frame(Frame type, uint8_t flags, uint32_t id, std::string_view p) {
    if (continued_ && (type != CONT || id != continued_))
      throw hpack::Broken("http2: header block interrupted");
    switch (type) {
      case DATA: return data(flags, id, p);
      case HEADERS:
        p = unpadded(flags, p);
        if (flags & HAS_PRIORITY) p.remove_prefix(5);
        if (flags & END_HEADERS) return headers(id, p, flags & END_STREAM);
        continued_ = id;
        end_after_ = flags & END_STREAM;
        block_in_.assign(p);
        return;
      case CONT:
        block_in_.append(p);
        if (!(flags & END_HEADERS)) return;
        continued_ = 0;
        return headers(id, block_in_, end_after_);
      case RST: return finish(id, 14, frame_error(get32(p.data())));
      case SETTINGS:
        if (!(flags & ACK)) settings(p);
        return;
      case PING:
        if (flags & ACK) return;
        put_frame(out_, 8, PING, ACK, 0);
        out_.append(p);
        dirty = true;
        return;
      case GOAWAY:
        throw hpack::Broken("http2: GOAWAY " + std::to_string(get32(p.data() + 4)) + " " +
                            std::string(p.substr(8)));
      case WINDOW: return widen(id, get32(p.data()) & 0x7fffffff);
      case PUSH: throw hpack::Broken("http2: push to a client that refused it");
      default: return;
    }
  }

  static std::string_view unpadded(uint8_t flags, std::string_view p) {
    if (!(flags & PADDED)) return p;
    const size_t pad = uint8_t(p.at(0)) + 1u;
    if (pad > p.size()) throw hpack::Broken("http2: more padding than frame");
    return p.substr(1, p.size() - pad);
  }

  void data(uint8_t flags, uint32_t id, std::string_view p) {
    give_back(unclaimed_, 0, p.size(), 4 * ours_);
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    Stream &s = found->second;
    if (!s.headers_seen) throw hpack::Broken("http2: DATA before HEADERS");
    if (!(flags & END_STREAM)) give_back(s.unclaimed, id, p.size(), ours_);
    p = unpadded(flags, p);
    if (s.partial.empty()) p.remove_prefix(whole(s, p));
    if (!p.empty()) {
      s.partial.append(p);
      if (s.partial.size() >= 5) {
        const size_t need = 5 + size_t(get32(s.partial.data() + 1));
        if (s.partial.size() < need) {
          s.partial.reserve(need);
        } else {
          std::string all = std::move(s.partial);
          s.partial.clear();
          const size_t used = whole(s, all);
          s.partial.append(all, used, std::string::npos);
        }
      }
    }
    if (flags & END_STREAM) finish(id, -1, "stream ended without trailers");
  }

  // Deliver the whole messages at the front of `p`; the bytes they took.
  size_t whole(Stream &s, std::string_view p) {
    size_t at = 0;
    while (p.size() - at >= 5) {
      const size_t size = get32(p.data() + at + 1);
      if (p[at]) throw hpack::Broken("grpc: compressed message, none was offered");
      if (p.size() - at - 5 < size) break;
      s.messages++;
      to_.message(*this, s, p.substr(at + 5, size));
      at += 5 + size;
    }
    return at;
  }

  void give_back(int64_t &unclaimed, uint32_t id, size_t size, uint32_t of) {
    unclaimed += int64_t(size);
    if (unclaimed < of / 2) return;
    put_frame(out_, 4, WINDOW, 0, id);
    put32(out_, uint32_t(unclaimed));
    unclaimed = 0;
    dirty = true;
  }

  void headers(uint32_t id, std::string_view block, bool end) {
    const auto &v = decoder_.decode(block);
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    Stream &s = found->second;
    if (!s.headers_seen) {
      if (v.status != 200 || !v.grpc_content)
        return finish(id, 13, "reply with :status " + std::to_string(v.status));
      s.headers_seen = true;
    }
    if (!end) return;
    if (!s.partial.empty()) return finish(id, 13, "stream ended inside a message");
    finish(id, v.grpc_status, v.message);
  }

  void finish(uint32_t id, int grpc_status, const std::string &why) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    if (!found->second.half_closed && grpc_status == 0) {
      put_frame(out_, 4, RST, 0, id);
      put32(out_, 8);
      dirty = true;
    }
    auto node = streams_.extract(found);
    to_.ended(*this, node.mapped(), grpc_status, why);
  }

  void settings(std::string_view p) {
    for (; p.size() >= 6; p.remove_prefix(6)) {
      const int what = uint8_t(p[0]) << 8 | uint8_t(p[1]);
      const uint32_t value = get32(p.data() + 2);
      if (what == 1) encoder_.limit(value);
      if (what == 3) streams_max_ = value;
      if (what == 5) frame_max_ = value;
      if (what != 4) continue;
      for (auto &[id, s] : streams_) s.window += int64_t(value) - initial_;
      initial_ = value;
    }
    put_frame(out_, 0, SETTINGS, ACK, 0);
    dirty = settled_ = true;
    pump_all();
  }

  void widen(uint32_t id, uint32_t by) {
    if (!id) {
      window_ += by;
      return pump_all();
    }
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    found->second.window += by;
    pump(found->second);
  }

  void pump_all() {
    if (!held_) return;
    held_ = false;
    for (auto &[id, s] : streams_) pump(s);
  }

  void pump(Stream &s) {
    size_t at = 0;
    while (at < s.held.size()) {
      const int64_t most = std::min({int64_t(s.held.size() - at), window_, s.window, frame_max_});
      if (most <= 0) {
        held_ = true;
        break;
      }
      const bool last = s.close_after && at + size_t(most) == s.held.size();
      put_frame(out_, size_t(most), DATA, last ? END_STREAM : 0, s.id);
      out_.append(s.held, at, size_t(most));
      at += size_t(most);
      window_ -= most;
      s.window -= most;
      s.half_closed |= last;
      dirty = true;
    }
    s.held.erase(0, at);
  }

  Socket socket_;
  Receiver &to_;
  const uint32_t ours_;
  const bool tls_;
  hpack::Constant authority_;
  hpack::Encoder encoder_;
  hpack::Decoder decoder_;
  std::unordered_map<uint32_t, Stream> streams_;
  std::string out_, rest_, block_, block_in_;
  size_t sent_ = 0;
  uint32_t next_id_ = 1, streams_max_ = UINT32_MAX, continued_ = 0;
  int64_t window_ = 65535, initial_ = 65535, frame_max_ = 16384, unclaimed_ = 0;
  bool settled_ = false, end_after_ = false, held_ = false;
};

}  // namespace http2
