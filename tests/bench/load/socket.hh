// One byte stream to the server: a TCP or unix socket, bare or under TLS. Connects blocking, then
// reads and writes without waiting.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

#if __has_include(<openssl/ssl.h>)
#include <openssl/err.h>
#include <openssl/ssl.h>
#define LOAD_HAS_TLS 1
#else
#define LOAD_HAS_TLS 0
#endif

struct Address {
  std::string host = "127.0.0.1", port = "2379", ca;  // `ca` names a PEM file: speak TLS
};

class Socket {
 public:
  explicit Socket(const Address &to) {
    fd_ = to.host.rfind("unix:", 0) == 0 ? dial_unix(to.host.substr(5)) : dial_tcp(to);
    if (!to.ca.empty()) start_tls(to);
    fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
  }
  ~Socket() {
#if LOAD_HAS_TLS
    if (tls_) SSL_free(tls_);
#endif
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket &) = delete;
  Socket &operator=(const Socket &) = delete;

  int fd() const { return fd_; }

  // Bytes moved; 0 if it would have to wait; throws when the peer is gone.
  size_t read(char *into, size_t most) {
#if LOAD_HAS_TLS
    if (tls_) {
      size_t got = 0;
      while (got < most) {  // one record a call: go on until the socket is dry
        const int n = SSL_read(tls_, into + got, int(most - got));
        if (n <= 0) {
          if (!got) check_tls(n, "read");
          return got;
        }
        got += size_t(n);
      }
      return got;
    }
#endif
    const ssize_t n = recv(fd_, into, most, 0);
    if (n == 0) throw std::runtime_error("the server closed a connection");
    return check(n, "recv");
  }

  size_t write(const char *from, size_t size) {
#if LOAD_HAS_TLS
    if (tls_) {
      const int n = SSL_write(tls_, from, int(size));
      return n > 0 ? size_t(n) : (check_tls(n, "write"), 0);
    }
#endif
    return check(send(fd_, from, size, MSG_NOSIGNAL), "send");
  }

  bool pending() const {
#if LOAD_HAS_TLS
    return tls_ && SSL_pending(tls_) > 0;
#else
    return false;
#endif
  }

 private:
  static size_t check(ssize_t n, const char *what) {
    if (n >= 0) return size_t(n);
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return 0;
    throw std::runtime_error(std::string(what) + ": " + strerror(errno));
  }

  static int dial_unix(const std::string &path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (path.size() >= sizeof name.sun_path) throw std::runtime_error("socket path too long");
    memcpy(name.sun_path, path.data(), path.size());
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, reinterpret_cast<sockaddr *>(&name), sizeof name) < 0) {
      close(fd);
      throw std::runtime_error("connect " + path + ": " + strerror(errno));
    }
    return fd;
  }

  static int dial_tcp(const Address &to) {
    addrinfo hint{}, *found = nullptr;
    hint.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(to.host.c_str(), to.port.c_str(), &hint, &found))
      throw std::runtime_error("no such host: " + to.host);
    const int fd = socket(found->ai_family, SOCK_STREAM, 0);
    const int failed = connect(fd, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (failed) {
      close(fd);
      throw std::runtime_error("connect " + to.host + ":" + to.port + ": " + strerror(errno));
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
  }

#if LOAD_HAS_TLS
  void start_tls(const Address &to) {
    static SSL_CTX *context = nullptr;
    if (!context) {
      context = SSL_CTX_new(TLS_client_method());
      if (SSL_CTX_load_verify_locations(context, to.ca.c_str(), nullptr) != 1)
        throw std::runtime_error("no certificates in " + to.ca);
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
      SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    static const unsigned char kH2[] = {2, 'h', '2'};
    tls_ = SSL_new(context);
    SSL_set_alpn_protos(tls_, kH2, sizeof kH2);
    SSL_set_fd(tls_, fd_);
    if (SSL_connect(tls_) != 1) throw std::runtime_error("TLS handshake: " + reason());
    const unsigned char *agreed = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(tls_, &agreed, &size);
    if (size != 2 || memcmp(agreed, "h2", 2)) throw std::runtime_error("TLS: no ALPN h2");
  }

  static std::string reason() {
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    return text;
  }

  void check_tls(int n, const char *what) const {
    const int why = SSL_get_error(tls_, n);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return;
    if (why == SSL_ERROR_ZERO_RETURN) throw std::runtime_error("the server closed a connection");
    throw std::runtime_error(std::string("TLS ") + what + ": " + reason());
  }

  SSL *tls_ = nullptr;
#else
  void start_tls(const Address &) { throw std::runtime_error("built without OpenSSL"); }
#endif
  int fd_ = -1;
};
