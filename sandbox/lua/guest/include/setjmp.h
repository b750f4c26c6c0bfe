/* wasi-libc has no setjmp. The compiler turns calls of these into WebAssembly
 * exceptions and calls of what setjmp.c defines. */
#ifndef ENGRAM_SETJMP_H
#define ENGRAM_SETJMP_H

typedef long jmp_buf[8];

int setjmp(jmp_buf) __attribute__((returns_twice));
_Noreturn void longjmp(jmp_buf, int);

#define _setjmp setjmp
#define _longjmp longjmp

#endif
