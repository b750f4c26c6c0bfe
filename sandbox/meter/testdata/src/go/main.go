// A Go guest: runtime, goroutines, garbage collection and encoding/json in a
// reactor module.
package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

//go:wasmexport encode
func encode(n int32) int32 {
	m := map[string]any{}
	for i := range int(n) {
		m[fmt.Sprint("k", i)] = strings.Repeat("x", i%7)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return -1
	}
	var back map[string]string
	if err := json.Unmarshal(b, &back); err != nil {
		return -2
	}
	keys := make([]string, 0, len(back))
	for k := range back {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return int32(len(b)*1000 + len(keys))
}

//go:wasmexport relay
func relay(n int32) int32 {
	c := make(chan int32)
	done := make(chan int32)
	go func() {
		sum := int32(0)
		for v := range c {
			sum = sum*3 + v
		}
		done <- sum
	}()
	for i := range n {
		c <- i
	}
	close(c)
	return <-done
}

//go:wasmexport spin
func spin(int32) int32 {
	go func() {
		for {
		}
	}()
	select {}
}

func main() {}
