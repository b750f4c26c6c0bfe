/* Binds QuickJS to the agent ABI engram:agent/1.
 *
 * _initialize makes the interpreter, the same for all programs. initialize
 * reads a program, capabilities lists its actions, execute performs one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#include "quickjs.h"

static const char prelude[] = {
#embed "prelude.js"
  , 0};

#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(name) __attribute__((import_module("engram"), import_name(#name)))

IMPORT(input_len) size_t host_input_len(void);
IMPORT(input_read) size_t host_input_read(char *to, size_t room);
IMPORT(output) void host_output(const char *at, size_t len);
IMPORT(call) int32_t host_call(const char *op, size_t op_len, const char *in, size_t in_len);
IMPORT(result_read) size_t host_result_read(char *to, size_t room);
IMPORT(log) void host_log(int32_t level, const char *at, size_t len);
IMPORT(now_ms) int64_t host_now_ms(void);
IMPORT(config) int32_t host_config(const char *key, size_t len);
IMPORT(emit) void host_emit(const char *at, size_t len);
IMPORT(deadline_ms) int64_t host_deadline_ms(void);
IMPORT(fuel_left) int64_t host_fuel_left(void);

/* How much of the shadow stack programs may use. What is left of the stack
 * (see build.sh) is for the C functions that do not look. */
enum { STACK = 224 << 10 };

static JSRuntime *rt;
static JSContext *cx;
static JSValue begin, finish, describe_action; /* functions of the prelude */
static JSValue exports;        /* of the program */
static JSAtom a_message, a_stack, a_name;
static char file[128];         /* the name of the program */

/* Promises that were rejected and that nobody has handled. */
static struct { JSValue promise, reason; } *orphans;
static size_t orphan_count, orphan_room;

static void drop_orphans(void) {
  while (orphan_count > 0) {
    orphan_count--;
    JS_FreeValue(cx, orphans[orphan_count].promise);
    JS_FreeValue(cx, orphans[orphan_count].reason);
  }
}

static void track_rejection(JSContext *c, JSValueConst promise, JSValueConst reason, bool handled, void *opaque) {
  (void)opaque;
  for (size_t i = orphan_count; handled && i-- > 0;) {
    if (JS_VALUE_GET_PTR(orphans[i].promise) != JS_VALUE_GET_PTR(promise)) continue;
    JS_FreeValue(c, orphans[i].promise);
    JS_FreeValue(c, orphans[i].reason);
    memmove(orphans + i, orphans + i + 1, (--orphan_count - i) * sizeof *orphans);
    return;
  }
  if (handled) return;
  if (orphan_count == orphan_room) {
    size_t room = orphan_room ? 2 * orphan_room : 8;
    void *grown = realloc(orphans, room * sizeof *orphans);
    if (!grown) return; /* the call has bigger troubles */
    orphans = grown;
    orphan_room = room;
  }
  orphans[orphan_count].promise = JS_DupValue(c, promise);
  orphans[orphan_count++].reason = JS_DupValue(c, reason);
}

/* Text from the host: n bytes, ended by a zero as the parsers want it. */
static char *fetch(size_t (*read)(char *, size_t), size_t n) {
  char *text = malloc(n + 1);
  if (text) text[read(text, n)] = 0;
  return text;
}

static JSValue parse(JSContext *c, size_t (*read)(char *, size_t), size_t n, const char *what) {
  char *text = fetch(read, n);
  if (!text) return JS_ThrowOutOfMemory(c);
  JSValue v = JS_ParseJSON(c, text, n, what);
  free(text);
  return v;
}

/* JSON of a value, null if there is none (a function, undefined). */
static JSValue stringify(JSContext *c, JSValueConst v) {
  JSValue json = JS_JSONStringify(c, v, JS_UNDEFINED, JS_UNDEFINED);
  return JS_IsUndefined(json) ? JS_NewString(c, "null") : json;
}

/* call(operation, arguments): the operation's result, or throws its error. */
static JSValue js_call(JSContext *c, JSValueConst this, int argc, JSValueConst *argv, int magic, JSValueConst *data) {
  (void)this, (void)argc, (void)magic;
  JSValue json = JS_UNDEFINED, result = JS_EXCEPTION;
  const char *op = NULL, *in = NULL;
  size_t op_len, in_len;
  if (!JS_IsString(argv[0])) return JS_ThrowTypeError(c, "engram.call needs the name of a tool, such as \"engram_get\"");
  if (!(op = JS_ToCStringLen(c, &op_len, argv[0]))) goto done;
  json = JS_IsUndefined(argv[1]) ? JS_NewString(c, "{}") : stringify(c, argv[1]);
  if (JS_IsException(json) || !(in = JS_ToCStringLen(c, &in_len, json))) goto done;
  int32_t n = host_call(op, op_len, in, in_len);
  result = parse(c, host_result_read, n < 0 ? -n : n, "result");
  if (n < 0 && !JS_IsException(result)) {
    JSValueConst args[] = {result};
    JSValue error = JS_CallConstructor(c, data[0], 1, args);
    JS_FreeValue(c, result);
    result = JS_IsException(error) ? error : JS_Throw(c, error);
  }
done:
  JS_FreeCString(c, op);
  JS_FreeCString(c, in);
  JS_FreeValue(c, json);
  return result;
}

/* callWith(EngramError) makes call, which throws that kind of error. */
static JSValue js_call_with(JSContext *c, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  return JS_NewCFunctionData(c, js_call, 2, 0, 1, argv);
}

static JSValue js_log(JSContext *c, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int32_t level;
  size_t n;
  const char *text;
  if (JS_ToInt32(c, &level, argv[0]) || !(text = JS_ToCStringLen(c, &n, argv[1]))) return JS_EXCEPTION;
  host_log(level, text, n);
  JS_FreeCString(c, text);
  return JS_UNDEFINED;
}

static JSValue js_emit(JSContext *c, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  size_t n;
  JSValue json = stringify(c, argv[0]);
  const char *text = JS_IsException(json) ? NULL : JS_ToCStringLen(c, &n, json);
  if (text) host_emit(text, n);
  JS_FreeCString(c, text);
  JS_FreeValue(c, json);
  return text ? JS_UNDEFINED : JS_EXCEPTION;
}

static JSValue js_config(JSContext *c, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  return parse(c, host_result_read, host_config("", 0), "config");
}

enum { NOW, DEADLINE, FUEL };

static JSValue js_number(JSContext *c, JSValueConst this, int argc, JSValueConst *argv, int magic) {
  (void)this, (void)argc, (void)argv;
  return JS_NewInt64(c, magic == NOW ? host_now_ms() : magic == DEADLINE ? host_deadline_ms() : host_fuel_left());
}

/* Math.random of our own: that of QuickJS is seeded when the interpreter is
 * made, and so would be the same in every call. */
static uint64_t random_state;
static JSValue js_random(JSContext *c, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  if (!random_state) {
    __wasi_timestamp_t now = 0;
    (void)!__wasi_clock_time_get(__WASI_CLOCKID_REALTIME, 1, &now);
    random_state = now * 0x9e3779b97f4a7c15u | 1;
  }
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return JS_NewFloat64(c, (double)(random_state * 0x2545f4914f6cdd1du >> 11) / (double)(1ull << 53));
}

/* A program is one file. */
static JSModuleDef *refuse_import(JSContext *c, const char *name, void *opaque) {
  (void)opaque;
  JS_ThrowTypeError(c, "cannot import %s: an agent is a single file; bundle it, or use the global engram", name);
  return NULL;
}

static const JSCFunctionListEntry host_functions[] = {
  JS_CFUNC_DEF("callWith", 1, js_call_with),
  JS_CFUNC_DEF("log", 2, js_log),
  JS_CFUNC_DEF("emit", 1, js_emit),
  JS_CFUNC_DEF("config", 0, js_config),
  JS_CFUNC_MAGIC_DEF("nowMs", 0, js_number, NOW),
  JS_CFUNC_MAGIC_DEF("deadlineMs", 0, js_number, DEADLINE),
  JS_CFUNC_MAGIC_DEF("fuelLeft", 0, js_number, FUEL),
  JS_CFUNC_DEF("random", 0, js_random),
};

static void must(int ok) {
  if (!ok) __builtin_trap();
}

/* Makes the interpreter and runs the prelude: what _initialize does. */
__attribute__((constructor)) static void boot(void) {
  rt = JS_NewRuntime();
  must(rt != NULL);
  JS_SetMaxStackSize(rt, STACK);
  JS_SetModuleLoaderFunc(rt, NULL, refuse_import, NULL);
  JS_SetHostPromiseRejectionTracker(rt, track_rejection, NULL);
  cx = JS_NewContextRaw(rt);
  must(cx && !JS_AddIntrinsicBaseObjects(cx) && !JS_AddIntrinsicDate(cx) && !JS_AddIntrinsicEval(cx) &&
       !JS_AddIntrinsicRegExp(cx) && !JS_AddIntrinsicJSON(cx) && !JS_AddIntrinsicProxy(cx) && !JS_AddIntrinsicMapSet(cx) &&
       !JS_AddIntrinsicTypedArrays(cx) && !JS_AddIntrinsicPromise(cx) && !JS_AddIntrinsicWeakRef(cx));
  a_message = JS_NewAtom(cx, "message");
  a_stack = JS_NewAtom(cx, "stack");
  a_name = JS_NewAtom(cx, "name");
  JSValue host = JS_NewObject(cx);
  JS_SetPropertyFunctionList(cx, host, host_functions, sizeof host_functions / sizeof *host_functions);
  JSValue make = JS_Eval(cx, prelude, sizeof prelude - 1, "engram", JS_EVAL_TYPE_GLOBAL);
  JSValueConst args[] = {host};
  JSValue made = JS_Call(cx, make, JS_UNDEFINED, 1, args);
  must(JS_IsArray(made));
  begin = JS_GetPropertyUint32(cx, made, 0);
  finish = JS_GetPropertyUint32(cx, made, 1);
  describe_action = JS_GetPropertyUint32(cx, made, 2);
  exports = JS_UNDEFINED;
  JS_FreeValue(cx, made);
  JS_FreeValue(cx, make);
  JS_FreeValue(cx, host);
  JS_RunGC(rt);
}

/* text of a property, or NULL. */
static const char *property(JSValueConst v, JSAtom name) {
  JSValue p = JS_GetProperty(cx, v, name);
  const char *s = JS_IsString(p) ? JS_ToCString(cx, p) : NULL;
  if (JS_IsException(p)) JS_FreeValue(cx, JS_GetException(cx));
  JS_FreeValue(cx, p);
  return s;
}

/* place finds in a stack trace the newest line of the program itself, as
 * file:line:column, and returns its length. */
static size_t place(const char *stack, const char **at) {
  size_t n = strlen(file);
  for (const char *s = stack; s && (s = strstr(s, file)); s++) {
    if (s == stack || (s[-1] != '(' && s[-1] != ' ') || s[n] != ':') continue;
    *at = s;
    return n + strspn(s + n, ":0123456789");
  }
  return 0;
}

struct text { char at[2048]; size_t len; };

static void add(struct text *t, const char *s, size_t n) {
  if (n > sizeof t->at - t->len) n = sizeof t->at - t->len;
  memcpy(t->at + t->len, s, n);
  t->len += n;
}

/* describe writes what is known of something that was thrown:
 * file:line:column: Kind: message */
static void describe(struct text *t, JSValueConst thrown) {
  const char *message = NULL, *name = NULL, *stack = NULL, *at;
  if (JS_IsObject(thrown)) {
    message = property(thrown, a_message);
    name = property(thrown, a_name);
    stack = property(thrown, a_stack);
  }
  size_t n = place(stack, &at);
  if (n) add(t, at, n), add(t, ": ", 2);
  if (message) {
    if (name && *name && strcmp(name, "Error") && strcmp(name, "EngramError")) add(t, name, strlen(name)), add(t, ": ", 2);
    add(t, message, strlen(message));
    if (stack && strchr(stack, '\n') != strrchr(stack, '\n')) host_log(3, stack, strlen(stack));
  } else {
    JSValue json = JS_IsObject(thrown) ? stringify(cx, thrown) : JS_ToString(cx, thrown);
    const char *s = JS_IsException(json) ? NULL : JS_ToCString(cx, json);
    if (!s) JS_FreeValue(cx, JS_GetException(cx));
    add(t, "it threw ", 9);
    add(t, s ? s : "something without a text", s ? strlen(s) : 24);
    JS_FreeCString(cx, s);
    JS_FreeValue(cx, json);
  }
  JS_FreeCString(cx, message);
  JS_FreeCString(cx, name);
  JS_FreeCString(cx, stack);
}

/* fail outputs an error that was thrown, and returns 1. */
static int32_t fail(JSValue thrown) {
  static struct text t;
  t.len = 0;
  describe(&t, thrown);
  JS_FreeValue(cx, thrown);
  host_output(t.at, t.len);
  return 1;
}

static int32_t fail_with(const char *message) {
  host_output(message, strlen(message));
  return 1;
}

/* settle runs jobs until there are none, and returns what a promise came to;
 * any other value is itself. It takes v. */
static JSValue settle(JSValue v) {
  if (JS_IsException(v)) return v;
  JSContext *c;
  int rc;
  while ((rc = JS_ExecutePendingJob(rt, &c)) > 0) {}
  if (rc < 0) {
    JS_FreeValue(cx, v);
    return JS_EXCEPTION;
  }
  if (!JS_IsPromise(v)) return v;
  JSPromiseStateEnum state = JS_PromiseState(cx, v);
  JSValue result = state == JS_PROMISE_PENDING
    ? JS_ThrowTypeError(cx, "the promise that it returned can never be settled: nothing is left to run that would do so")
    : JS_PromiseResult(cx, v);
  if (state == JS_PROMISE_REJECTED) {
    track_rejection(cx, v, JS_UNDEFINED, true, NULL);
    result = JS_Throw(cx, result);
  }
  JS_FreeValue(cx, v);
  return result;
}

/* start_call makes the interpreter ready for a call into the program. */
static void start_call(void) {
  drop_orphans();
  JS_UpdateStackTop(rt);
  JS_FreeValue(cx, JS_Call(cx, begin, JS_UNDEFINED, 0, NULL));
}

/* The input is the program's file name, a zero byte, and the program, an ES
 * module. */
EXPORT(initialize) int32_t initialize(void) {
  size_t n = host_input_len();
  char *text = fetch(host_input_read, n);
  size_t name = text ? strlen(text) : 0;
  if (name == 0 || name >= n || name >= sizeof file) return fail_with("the program could not be read");
  memcpy(file, text, name + 1);
  start_call();
  JSValue module = JS_Eval(cx, text + name + 1, n - name - 1, file, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
  free(text);
  if (JS_IsException(module)) return fail(JS_GetException(cx));
  JSModuleDef *def = JS_VALUE_GET_PTR(module);
  JSValue done = settle(JS_EvalFunction(cx, module));
  if (JS_IsException(done)) return fail(JS_GetException(cx));
  if (orphan_count) return fail(JS_DupValue(cx, orphans[0].reason));
  JS_FreeValue(cx, done);
  exports = JS_GetModuleNamespace(cx, def);
  if (JS_IsException(exports)) return fail(JS_GetException(cx));
  random_state = 0;
  JS_RunGC(rt);
  return 0;
}

/* output sets the result of a call, which it takes. */
static int32_t output(JSValue v) {
  JSValue json = JS_IsException(v) ? v : stringify(cx, v);
  size_t n;
  const char *text = JS_IsException(json) ? NULL : JS_ToCStringLen(cx, &n, json);
  JS_FreeValue(cx, v);
  JS_FreeValue(cx, json);
  if (!text) return fail(JS_GetException(cx));
  host_output(text, n);
  JS_FreeCString(cx, text);
  return 0;
}

/* Names of actions are no longer than this, as manifests have it. */
enum { NAME = 64 };

/* translate copies a name with one character for another. */
static void translate(char to[NAME], const char *name, char old, char new) {
  size_t n = 0;
  for (; name[n] && n < NAME - 1; n++) to[n] = name[n] == old ? new : name[n];
  to[n] = 0;
}

/* capabilities outputs [{"name", …}] for each exported function whose name can
 * be that of an action, with what tool said of it; _ in it stands for -. */
EXPORT(capabilities) int32_t capabilities(void) {
  JSPropertyEnum *names;
  uint32_t n, found = 0;
  if (JS_GetOwnPropertyNames(cx, &names, &n, exports, JS_GPN_STRING_MASK)) return fail(JS_GetException(cx));
  JSValue list = JS_NewArray(cx);
  for (uint32_t i = 0; i < n; i++) {
    JSValue f = JS_GetProperty(cx, exports, names[i].atom);
    const char *name = JS_AtomToCString(cx, names[i].atom);
    if (JS_IsFunction(cx, f) && name && *name >= 'a' && *name <= 'z' && strcmp(name, "default") &&
        !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")]) {
      char dashed[NAME];
      translate(dashed, name, '_', '-');
      JSValueConst args[] = {f};
      JSValue action = JS_Call(cx, describe_action, JS_UNDEFINED, 1, args);
      if (JS_IsException(action)) return fail(JS_GetException(cx));
      JS_DefinePropertyValue(cx, action, a_name, JS_NewString(cx, dashed), JS_PROP_C_W_E);
      JS_DefinePropertyValueUint32(cx, list, found++, action, JS_PROP_C_W_E);
    }
    JS_FreeCString(cx, name);
    JS_FreeValue(cx, f);
  }
  JS_FreePropertyEnum(cx, names, n);
  return output(list);
}

/* find returns the exported function for an action. */
static JSValue find(JSValueConst action) {
  const char *name = JS_ToCString(cx, action);
  if (!name) return JS_EXCEPTION;
  JSValue f = JS_GetPropertyStr(cx, exports, name);
  if (!JS_IsFunction(cx, f) && !JS_IsException(f)) {
    char under[NAME];
    translate(under, name, '-', '_');
    JS_FreeValue(cx, f);
    f = JS_GetPropertyStr(cx, exports, under);
  }
  JS_FreeCString(cx, name);
  return f;
}

/* execute performs {"action", "params"}. */
EXPORT(execute) int32_t execute(void) {
  start_call();
  JSValue input = parse(cx, host_input_read, host_input_len(), "params");
  if (JS_IsException(input)) return fail(JS_GetException(cx));
  JSValue action = JS_GetPropertyStr(cx, input, "action"), params = JS_GetPropertyStr(cx, input, "params");
  JSValue f = find(action);
  JSValueConst args[] = {params};
  JSValue result = settle(JS_Call(cx, f, JS_UNDEFINED, 1, args));
  JS_FreeValue(cx, f);
  JS_FreeValue(cx, action);
  JS_FreeValue(cx, params);
  JS_FreeValue(cx, input);
  if (JS_IsException(result)) return fail(JS_GetException(cx));
  if (orphan_count) return fail(JS_DupValue(cx, orphans[0].reason));
  JSValue kept = JS_Call(cx, finish, JS_UNDEFINED, 0, NULL);
  if (JS_IsException(kept)) return fail(JS_GetException(cx));
  JS_FreeValue(cx, kept);
  return output(result);
}
