package transport

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// guard keeps web pages away that are not meant to reach the server: a page whose
// name was rebound to this machine betrays itself by Host, any other by Origin.
type guard struct {
	hosts, origins []string
}

// check returns why r must be refused, or "".
func (g guard) check(r *http.Request) string {
	if !g.hostAllowed(r) {
		return fmt.Sprintf("host %q is not served; name it in the allowed hosts of the server", r.Host)
	}
	origin := r.Header.Get("Origin")
	switch {
	case origin != "" && !g.originAllowed(origin, r.Host):
		return fmt.Sprintf("origin %q may not call; name it in the allowed origins of the server", origin)
	case origin == "" && r.Header.Get("Sec-Fetch-Site") == "cross-site":
		return "pages of other sites may not call"
	}
	return ""
}

// hostAllowed accepts loopback names, the very address that the connection came
// to, as no name can be rebound to be that, and the configured hosts with or
// without a port.
func (g guard) hostAllowed(r *http.Request) bool {
	host := hostname(r.Host)
	if isLoopback(host) || slices.Contains(g.hosts, "*") {
		return true
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && sameAddr(host, hostname(local.String())) {
		return true
	}
	return slices.ContainsFunc(g.hosts, func(allowed string) bool {
		return strings.EqualFold(allowed, host) || strings.EqualFold(allowed, r.Host)
	})
}

// originAllowed accepts the configured origins, that of the server itself, and,
// for a server asked as loopback, those of loopback.
func (g guard) originAllowed(origin, host string) bool {
	if g.listed(origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, host) || isLoopback(u.Hostname()) && isLoopback(hostname(host))
}

func (g guard) listed(origin string) bool {
	return slices.ContainsFunc(g.origins, func(allowed string) bool { return strings.EqualFold(allowed, origin) })
}

// share lets pages of configured origins read the answer, and reports whether r
// only asked for that.
func (g guard) share(w http.ResponseWriter, r *http.Request) (preflight bool) {
	origin := r.Header.Get("Origin")
	if origin == "" || !g.listed(origin) {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate, Retry-After")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "POST, GET, DELETE")
	h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// hostname returns a host without its port and brackets.
func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func sameAddr(a, b string) bool {
	x, err1 := netip.ParseAddr(a)
	y, err2 := netip.ParseAddr(b)
	return err1 == nil && err2 == nil && x.Unmap() == y.Unmap()
}
