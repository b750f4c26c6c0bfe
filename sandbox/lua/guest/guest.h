/* The host's functions (ABI engram:agent/1), and what the files here share. */
#ifndef ENGRAM_GUEST_H
#define ENGRAM_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

#define EXPORT(name) __attribute__((export_name(#name))) int32_t name(void)
#define HOST(name) __attribute__((import_module("engram"), import_name(#name)))

HOST(input_len) size_t host_input_len(void);
HOST(input_read) size_t host_input_read(char *to, size_t room);
HOST(output) void host_output(const char *at, size_t len);
HOST(call) int32_t host_call(const char *op, size_t op_len, const char *in, size_t len);
HOST(result_read) size_t host_result_read(char *to, size_t room);
HOST(log) void host_log(int32_t level, const char *at, size_t len);
HOST(now_ms) int64_t host_now_ms(void);
HOST(config) int32_t host_config(const char *key, size_t len);
HOST(emit) void host_emit(const char *at, size_t len);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("random_get"))) int32_t random_get(void *to, size_t len);

/* A text is bytes with their length. A zero byte follows those that
 * json_decode is given. */
typedef struct {
  const char *at;
  size_t len;
} text;

/* json_encode returns the JSON of the value at an index. It stays valid until
 * the next call. Raises an error for values that JSON does not have. */
text json_encode(lua_State *L, int index);

/* json_decode pushes the value of a JSON text, or raises an error. */
void json_decode(lua_State *L, text json);

/* json_open pushes the library. */
int json_open(lua_State *L);

#endif
