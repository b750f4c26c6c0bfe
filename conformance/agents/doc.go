// Package agents judges the example agents from outside: it installs them into
// the built program, wires them as their manifests say, and measures what they
// are for. One table of implementations says in which languages an agent is
// written; all of them pass the same tests.
package agents
