package js

// Body returns the program of an agent whose one action, main, is body:
// JavaScript that finds its parameters in params, ends with a return, and may
// await. Lines keep their numbers.
func Body(body string) []byte {
	return []byte("export async function main(params) {" + body + "\n}")
}
