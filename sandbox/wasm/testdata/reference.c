/* The reference agent of sandboxtest, in C without a standard library. */
#include "abi.h"

enum { ROOM = (1 << 20) + 4096 };
static char in[ROOM], out[ROOM];
static size_t in_len, out_len;
static span params;

static void put(span s) {
  while (s.at < s.end && out_len < sizeof out) out[out_len++] = *s.at++;
}
#define PUT(s) put(TEXT(s))

static span read_input(void) {
  in_len = engram_input_len();
  if (in_len > sizeof in) __builtin_trap();
  engram_input_read(in, in_len);
  return value(in, in + in_len);
}

static i32 done(span s) {
  engram_output(s.at, s.end - s.at);
  return 0;
}

static i32 fail(span s) {
  engram_output(s.at, s.end - s.at);
  return 1;
}

/* A span of the result, or of the error with at = 0. */
static char result[ROOM];
static span last_error;
static span host(span op, span arg) {
  i32 n = engram_call(op.at, op.end - op.at, arg.at, arg.end - arg.at);
  size_t len = engram_result_read(result, sizeof result);
  span r = {result, result + len};
  if (n >= 0) return r;
  last_error = r;
  return (span){0, 0};
}

static span built(void) { return (span){out, out + out_len}; }

ENGRAM_EXPORT(tool_echo) i32 echo(void) { return done(read_input()); }

ENGRAM_EXPORT(tool_ask) i32 ask(void) {
  params = read_input();
  span op = field(params, TEXT("\"op\"")), arg = field(params, TEXT("\"in\""));
  op.at++, op.end--;
  span r = host(op, arg);
  return r.at ? done(r) : fail(last_error);
}

static char ids[2][64];
static span made[2];

static int create(int i, span content) {
  out_len = 0;
  PUT("{\"confidence\":0.9,\"source\":\"reference\",\"content\":");
  put(content);
  PUT("}");
  span r = host(TEXT("engram_create"), built());
  if (!r.at) return 0;
  span list = field(r, TEXT("\"engrams\"")), key, val;
  if (!list.at || !next(list.at + 1, list.end, 0, &key, &val)) return 0;
  span id = field(val, TEXT("\"id\""));
  size_t n = id.end - id.at;
  if (!id.at || n > sizeof ids[i]) return 0;
  __builtin_memcpy(ids[i], id.at, n);
  made[i] = (span){ids[i], ids[i] + n};
  return 1;
}

ENGRAM_EXPORT(tool_remember) i32 remember(void) {
  params = read_input();
  if (!create(0, field(params, TEXT("\"content\""))) || !create(1, TEXT("\"a second one\""))) return fail(last_error);
  out_len = 0;
  PUT("{\"links\":[{\"relation\":\"about\",\"from\":");
  put(made[0]);
  PUT(",\"to\":");
  put(made[1]);
  PUT("}]}");
  if (!host(TEXT("engram_link"), built()).at) return fail(last_error);
  out_len = 0;
  PUT("{\"ids\":[");
  put(made[0]);
  PUT("]}");
  span r = host(TEXT("engram_get"), built());
  return r.at ? done(r) : fail(last_error);
}

ENGRAM_EXPORT(tool_fail) i32 fail_action(void) { return fail(read_input()); }

static i32 count_one(void) {
  span g = host(TEXT("globals_get"), TEXT("{}"));
  if (!g.at) return 0;
  span n = field(g, TEXT("\"n\""));
  unsigned v = 0;
  for (; n.at && n.at < n.end; n.at++) v = v * 10 + (*n.at - '0');
  v++;
  char d[10];
  size_t k = sizeof d;
  do d[--k] = '0' + v % 10; while (v /= 10);
  out_len = 0;
  PUT("{\"n\":");
  put((span){d + k, d + sizeof d});
  PUT("}");
  return host(TEXT("globals_set"), built()).at != 0;
}

ENGRAM_EXPORT(tool_count) i32 count(void) { return count_one() ? done(built()) : fail(last_error); }

ENGRAM_EXPORT(tool_count_fail) i32 count_fail(void) {
  count_one();
  return fail(TEXT("after counting"));
}

ENGRAM_EXPORT(tool_peek) i32 peek(void) {
  span g = host(TEXT("globals_get"), TEXT("{}"));
  return g.at ? done(g) : fail(last_error);
}

/* Outputs what the call before left here. */
static char kept[256] = "null";
static size_t kept_len = 4;
ENGRAM_EXPORT(tool_mark) i32 mark(void) {
  span v = field(read_input(), TEXT("\"value\""));
  done((span){kept, kept + kept_len});
  kept_len = v.end - v.at;
  if (kept_len > sizeof kept) __builtin_trap();
  __builtin_memcpy(kept, v.at, kept_len);
  return 0;
}

ENGRAM_EXPORT(tool_spin) i32 spin(void) {
  for (volatile unsigned i = 0;; i++) {}
}

/* Without a loop: calls that call twice, for longer than anybody waits. */
static __attribute__((noinline)) unsigned twice(volatile unsigned depth) {
  return depth == 0 ? 1 : twice(depth - 1) * 3 + twice(depth - 1);
}
ENGRAM_EXPORT(tool_spin_try) i32 spin_try(void) {
  static volatile unsigned depth = 60;
  return twice(depth) == 0;
}

ENGRAM_EXPORT(tool_bomb) i32 bomb(void) {
  for (;;) {
    size_t at = __builtin_wasm_memory_grow(0, 16);
    if (at == (size_t)-1) __builtin_trap();
    for (size_t i = 0; i < 16; i++) *(volatile char *)((at + i) * 65536) = 1;
  }
}

ENGRAM_EXPORT(tool_shout) i32 shout(void) {
  span b = field(read_input(), TEXT("\"bytes\""));
  size_t n = 0;
  for (; b.at < b.end; b.at++) n = n * 10 + (*b.at - '0');
  if (n < 2 || n > sizeof out) __builtin_trap();
  __builtin_memset(out, 'a', n);
  out[0] = out[n - 1] = '"';
  return done((span){out, out + n});
}

ENGRAM_EXPORT(tool_flood) i32 flood(void) {
  for (;;) host(TEXT("engram_search"), TEXT("{}"));
}

ENGRAM_EXPORT(tool_crash) i32 crash(void) { __builtin_trap(); }

ENGRAM_EXPORT(tool_log) i32 log_action(void) {
  span t = field(read_input(), TEXT("\"text\""));
  engram_log(2, t.at + 1, t.end - t.at - 2);
  return 0;
}

#define WASI(n) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#n)))
WASI(path_open) i32 wasi_path_open(i32 dir, i32 flags, const char *path, size_t len, i32 how, i64 base, i64 inherit, i32 fdflags, i32 *fd);
WASI(fd_prestat_get) i32 wasi_fd_prestat_get(i32 fd, void *stat);
WASI(sock_accept) i32 wasi_sock_accept(i32 fd, i32 flags, i32 *out);
WASI(environ_sizes_get) i32 wasi_environ_sizes_get(size_t *count, size_t *bytes);
WASI(args_sizes_get) i32 wasi_args_sizes_get(size_t *count, size_t *bytes);

ENGRAM_EXPORT(tool_reach) i32 reach(void) {
  size_t count = 0, bytes = 0;
  i32 fd, got = 0;
  char stat[64];
  out_len = 0;
  PUT("{\"reached\":[");
#define REACHED(s) do { if (got++) PUT(","); PUT("\"" s "\""); } while (0)
  for (i32 dir = 0; dir < 8; dir++) {
    if (wasi_path_open(dir, 0, "/etc/passwd", 11, 0, -1, -1, 0, &fd) == 0) REACHED("file");
    if (wasi_fd_prestat_get(dir, stat) == 0) REACHED("directory");
    if (wasi_sock_accept(dir, 0, &fd) == 0) REACHED("network");
  }
  if (wasi_environ_sizes_get(&count, &bytes) == 0 && count) REACHED("environment");
  if (wasi_args_sizes_get(&count, &bytes) == 0 && count) REACHED("arguments");
  PUT("]}");
  return done(built());
}

ENGRAM_EXPORT(tool_corrupt) i32 corrupt(void) {
  return done((span){(const char *)0x7ffffff0, (const char *)0x7fffffff});
}
