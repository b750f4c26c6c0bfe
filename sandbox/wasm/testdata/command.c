/* A program for WASI that knows nothing of agents: wc. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  (void)argv;
  unsigned long lines = 0, words = 0, bytes = 0;
  int c, in_word = 0;
  while ((c = getchar()) != EOF) {
    bytes++;
    lines += c == '\n';
    if (isspace(c)) in_word = 0;
    else if (!in_word) in_word = 1, words++;
  }
  if (argc > 1 || getenv("HOME") || fopen("/etc/passwd", "r")) {
    fprintf(stderr, "the sandbox leaks\n");
    return 3;
  }
  if (bytes == 0) {
    fprintf(stderr, "nothing to count\n");
    return 1;
  }
  printf("%lu %lu %lu\n", lines, words, bytes);
  return 0;
}
