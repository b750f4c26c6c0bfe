;; A language in which a program's output is its own text. A program that
;; begins with ! has an error in it.
(module
  (import "engram" "input_len" (func $input_len (result i32)))
  (import "engram" "input_read" (func $input_read (param i32 i32) (result i32)))
  (import "engram" "output" (func $output (param i32 i32)))
  (memory (export "memory") 1)
  (global $length (mut i32) (i32.const 0))
  (data (i32.const 0) "syntax error")
  (func (export "initialize") (result i32)
    (global.set $length (call $input_read (i32.const 1024) (i32.const 60000)))
    (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 33))
      (then (call $output (i32.const 0) (i32.const 12)) (return (i32.const 1))))
    (i32.const 0))
  (func (export "execute") (result i32)
    (call $output (i32.const 1024) (global.get $length))
    (i32.const 0))
)
