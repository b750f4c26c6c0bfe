//go:build wasip1

package main

import (
	"encoding/json"
	"errors"
	"unsafe"
)

// The agent ABI engram:agent/1.

//go:wasmimport engram input_len
func inputLen() uint32

//go:wasmimport engram input_read
func inputRead(to unsafe.Pointer, room uint32) uint32

//go:wasmimport engram output
func hostOutput(at unsafe.Pointer, n uint32)

//go:wasmimport engram call
func hostCall(op unsafe.Pointer, opLen uint32, in unsafe.Pointer, inLen uint32) int32

//go:wasmimport engram result_read
func resultRead(to unsafe.Pointer, room uint32) uint32

func data(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

// input decodes the parameters of this call.
func input(into any) error {
	b := make([]byte, inputLen())
	inputRead(data(b))
	return json.Unmarshal(b, into)
}

// call calls a tool by its name.
func call(op string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	name, nameLen := data([]byte(op))
	at, n := data(b)
	size := hostCall(name, nameLen, at, n)
	result := make([]byte, max(size, -size))
	resultRead(data(result))
	if size < 0 {
		var e struct{ Message string }
		_ = json.Unmarshal(result, &e)
		return errors.New(e.Message)
	}
	return json.Unmarshal(result, out)
}

// finish sets the result of an action and returns its code.
func finish(result any, err error) int32 {
	code := int32(0)
	if err != nil {
		result, code = map[string]string{"message": err.Error()}, 1
	}
	b, err := json.Marshal(result)
	if err != nil {
		return 2
	}
	hostOutput(data(b))
	return code
}
