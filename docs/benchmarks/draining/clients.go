package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"
)

const clients = 50

// pause is how long clients wait between two requests, but every tenth, which is busy.
const pause = 3 * time.Millisecond

// kind is what clients and servers speak.
type kind struct {
	name    string
	h2, tls bool
}

var kinds = []kind{{"HTTP/1.1", false, false}, {"HTTP/2 without TLS", true, false}, {"HTTP/2 over TLS", true, true}}

func (k kind) protocols() *http.Protocols {
	p := &http.Protocols{}
	switch {
	case k.tls:
		p.SetHTTP2(true)
	case k.h2:
		p.SetUnencryptedHTTP2(true)
	default:
		p.SetHTTP1(true)
	}
	return p
}

// certified are the TLS configurations of a server on loopback, and of its callers.
var certified = sync.OnceValues(func() (own, callers *tls.Config) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}, s.Client().Transport.(*http.Transport).TLSClientConfig
})

// answer sends back what came.
func answer(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err == nil {
		_, _ = w.Write(b)
	}
}

// target is where clients send, what a balancer knows, and what came of it.
type target struct {
	server atomic.Pointer[running]
	count  *count
}

// clients starts them; the returned function ends them, and the server that they send
// to then.
func (k kind) clients(to *target) (stop func()) {
	tr := &http.Transport{Protocols: k.protocols(), MaxIdleConnsPerHost: clients}
	if k.tls {
		_, callers := certified()
		tr.TLSClientConfig = callers.Clone()
	}
	client := &http.Client{Transport: tr, Timeout: time.Minute}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				c := to.count
				c.sent.Add(1)
				if err := k.post(client, to.server.Load().url); err != nil {
					c.failed.Add(1)
				}
				if i%10 != 0 {
					time.Sleep(pause)
				}
			}
		})
	}
	return func() {
		close(done)
		wg.Wait()
		tr.CloseIdleConnections()
		last := to.server.Load()
		last.stop()
		<-last.done
	}
}

func (k kind) post(client *http.Client, url string) error {
	body := struct{ io.Reader }{bytes.NewReader(make([]byte, 100))} // can't be sent again
	req, err := http.NewRequest("POST", url, body)
	if err != nil {
		return err
	}
	req.ContentLength = 100
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != 100 || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s, %d bytes: %w", resp.Status, n, err)
	}
	return nil
}
