package lua

// Body returns the script of an agent whose one action, main, is body: Lua that
// finds its parameters in params and ends with a return. Lines keep their
// numbers.
func Body(body string) []byte {
	return []byte("function tool_main(params) " + body + "\nend")
}
