/* The agent ABI engram:agent/1, for C without a standard library.
 *
 * A guest exports execute(), or tool_<action>() for each action, which return
 * 0 for success. The host hands over text in two steps, first its length, then
 * a copy into memory that the guest names: nothing ever calls back into it. */
#ifndef ENGRAM_H
#define ENGRAM_H

typedef __SIZE_TYPE__ size_t;
typedef __INT32_TYPE__ i32;
typedef __INT64_TYPE__ i64;

#define ENGRAM_IMPORT(n) __attribute__((import_module("engram"), import_name(#n)))
#define ENGRAM_EXPORT(n) __attribute__((export_name(#n)))

ENGRAM_IMPORT(input_len) size_t engram_input_len(void);
ENGRAM_IMPORT(input_read) size_t engram_input_read(void *to, size_t room);
ENGRAM_IMPORT(output) void engram_output(const void *json, size_t len);
/* A tool by its name: the length of the result, or minus that of an error. */
ENGRAM_IMPORT(call) i32 engram_call(const char *op, size_t op_len, const void *json, size_t len);
ENGRAM_IMPORT(result_read) size_t engram_result_read(void *to, size_t room);
/* Level 0 debug, 1 info, 2 warn, 3 error. */
ENGRAM_IMPORT(log) void engram_log(i32 level, const char *text, size_t len);
ENGRAM_IMPORT(now_ms) i64 engram_now_ms(void);
/* The length of a config value, -1 without one; engram_result_read copies it. */
ENGRAM_IMPORT(config) i32 engram_config(const char *key, size_t len);
ENGRAM_IMPORT(emit) void engram_emit(const void *json, size_t len);
ENGRAM_IMPORT(deadline_ms) i64 engram_deadline_ms(void);
ENGRAM_IMPORT(fuel_left) i64 engram_fuel_left(void);

#endif
