;; A guest for tests of what stands behind it: each action calls the operations
;; that its parameters list, {"steps":["op",{input},"op",{input}, …]} without
;; white space, and then ends in its own way. A refused operation ends the
;; action with the error it was given.
(module
  (import "engram" "input_len" (func $input_len (result i32)))
  (import "engram" "input_read" (func $input_read (param i32 i32) (result i32)))
  (import "engram" "output" (func $output (param i32 i32)))
  (import "engram" "call" (func $call (param i32 i32 i32 i32) (result i32)))
  (import "engram" "result_read" (func $result_read (param i32 i32) (result i32)))
  (memory (export "memory") 64)
  (global $input i32 (i32.const 65536))
  (global $result i32 (i32.const 2097152))
  (data (i32.const 0) "no engram_search{}")

  ;; the end of the JSON value at $at
  (func $end (param $at i32) (result i32) (local $depth i32) (local $text i32) (local $c i32)
    (loop $next
      (local.set $c (i32.load8_u (local.get $at)))
      (if (local.get $text)
        (then
          (if (i32.eq (local.get $c) (i32.const 92)) ;; \
            (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
          (if (i32.eq (local.get $c) (i32.const 34)) ;; "
            (then (local.set $text (i32.const 0)))))
        (else
          (if (i32.eq (local.get $c) (i32.const 34))
            (then (local.set $text (i32.const 1))))
          (if (i32.eq (i32.or (local.get $c) (i32.const 32)) (i32.const 123)) ;; [ {
            (then (local.set $depth (i32.add (local.get $depth) (i32.const 1)))))
          (if (i32.eq (i32.or (local.get $c) (i32.const 32)) (i32.const 125)) ;; ] }
            (then (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.or (local.get $text) (local.get $depth))))
    (local.get $at))

  ;; plays the steps; gives the length of the last result, or -1 after an error
  ;; that is output
  (func $play (result i32) (local $at i32) (local $op i32) (local $length i32) (local $in i32) (local $n i32)
    (i32.store8 (i32.add (global.get $input) (call $input_read (global.get $input) (call $input_len))) (i32.const 93))
    (local.set $at (global.get $input))
    (loop $find ;; the list
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $find (i32.ne (i32.load8_u (i32.sub (local.get $at) (i32.const 1))) (i32.const 91))))
    (loop $step
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 93)) (then (return (local.get $n))))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 44)) (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
      (local.set $op (i32.add (local.get $at) (i32.const 1)))
      (local.set $at (call $end (local.get $at)))
      (local.set $length (i32.sub (i32.sub (local.get $at) (i32.const 1)) (local.get $op)))
      (local.set $in (i32.add (local.get $at) (i32.const 1)))
      (local.set $at (call $end (local.get $in)))
      (local.set $n (call $call (local.get $op) (local.get $length) (local.get $in) (i32.sub (local.get $at) (local.get $in))))
      (if (i32.lt_s (local.get $n) (i32.const 0))
        (then
          (call $output (global.get $result) (call $result_read (global.get $result) (i32.const 2097152)))
          (return (i32.const -1))))
      (local.set $n (call $result_read (global.get $result) (i32.const 2097152)))
      (br $step))
    (unreachable))

  (func (export "tool_fine") (result i32) (local $n i32)
    (if (i32.lt_s (local.tee $n (call $play)) (i32.const 0)) (then (return (i32.const 1))))
    (call $output (global.get $result) (local.get $n))
    (i32.const 0))
  (func (export "tool_fail") (result i32) (drop (call $play)) (call $output (i32.const 0) (i32.const 2)) (i32.const 1))
  (func (export "tool_trap") (result i32) (drop (call $play)) (unreachable))
  (func (export "tool_spin") (result i32) (drop (call $play)) (loop $l (br $l)) (i32.const 0))
  (func $deeper (result i32) (i32.add (call $deeper) (i32.const 1)))
  (func (export "tool_deep") (result i32) (drop (call $play)) (call $deeper))
  (func (export "tool_grow") (result i32) (drop (call $play))
    (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable))
  (func (export "tool_flood") (result i32) (drop (call $play))
    (loop $l (drop (call $call (i32.const 3) (i32.const 13) (i32.const 16) (i32.const 2))) (br $l)) (i32.const 0))
  (func (export "tool_shout") (result i32) (drop (call $play)) (call $output (i32.const 0) (i32.const 4194304)) (i32.const 0))
  (func (export "tool_garble") (result i32) (drop (call $play)) (call $output (i32.const 0) (i32.const 9)) (i32.const 0))
  (func (export "tool_mislead") (result i32) (drop (call $play)) (call $output (i32.const 16) (i32.const 2)) (i32.const 0))
)
