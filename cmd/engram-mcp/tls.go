package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// tlsReload is how often a server looks whether its certificate was renewed.
const tlsReload = time.Second

// A keyPair is a certificate and its key, in files that may be replaced while
// the server runs.
type keyPair struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	written [2]time.Time // when the files in use were
	cert    *tls.Certificate
}

// tlsConfig is how the server speaks HTTPS, or nil if it speaks HTTP.
func (a *app) tlsConfig(log *slog.Logger) (*tls.Config, error) {
	switch {
	case a.tlsCert == "" && a.tlsKey == "":
		return nil, nil
	case a.tlsCert == "" || a.tlsKey == "":
		return nil, usage("HTTPS needs a certificate and its key", "give both --tls-cert and --tls-key")
	}
	p := &keyPair{certFile: a.tlsCert, keyFile: a.tlsKey, log: log}
	if err := p.load(); err != nil {
		return nil, failed("the certificate cannot be used", "give PEM files of a certificate and the key that belongs to it", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.get}, nil
}

// load reads the files if they have changed.
func (p *keyPair) load() error {
	p.looked = time.Now()
	var written [2]time.Time
	for i, name := range []string{p.certFile, p.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		written[i] = info.ModTime()
	}
	if p.cert != nil && written == p.written {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return err
	}
	p.cert, p.written = &cert, written
	return nil
}

// get is the certificate of a connection that begins. While the files are being
// replaced, or are of no use, it is the one before.
func (p *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.looked) > tlsReload {
		if err := p.load(); err != nil {
			p.log.Warn("the new certificate cannot be used; the one before is kept", "err", err)
		}
	}
	return p.cert, nil
}
