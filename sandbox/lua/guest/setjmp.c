/* What LLVM 19 expects of a libc that has setjmp on WebAssembly exceptions. */
#include <stdint.h>

struct argument {
  void *env;
  int value;
};

struct buffer { /* what lies in a jmp_buf */
  void *invocation;
  uint32_t label;
  struct argument argument;
};

void __wasm_setjmp(void *env, uint32_t label, void *invocation) {
  struct buffer *b = env;
  b->invocation = invocation;
  b->label = label;
}

/* Which setjmp of this invocation of the function filled env, or 0. */
uint32_t __wasm_setjmp_test(void *env, void *invocation) {
  struct buffer *b = env;
  return b->invocation == invocation ? b->label : 0;
}

void __wasm_longjmp(void *env, int value) {
  struct buffer *b = env;
  b->argument = (struct argument){env, value ? value : 1};
  __builtin_wasm_throw(1, &b->argument); /* 1 is the tag of longjmp */
}
