package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const clients = 50

// kind is a kind of client.
type kind struct {
	name  string
	h2    bool
	pause time.Duration
}

var kinds = []kind{{"HTTP/1.1, busy", false, 0}, {"HTTP/1.1, 3 ms", false, 3 * time.Millisecond}, {"HTTP/2, 3 ms", true, 3 * time.Millisecond}}

func (k kind) protocols() *http.Protocols {
	p := &http.Protocols{}
	if k.h2 {
		p.SetUnencryptedHTTP2(true)
	} else {
		p.SetHTTP1(true)
	}
	return p
}

// answer sends back what came.
func answer(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err == nil {
		_, _ = w.Write(b)
	}
}

// target is where clients send: what a balancer knows.
type target struct {
	server atomic.Pointer[running]
	mu     sync.Mutex
	count  *count
}

// move sends clients to a server whose requests are counted apart.
func (t *target) move(to *running, c *count) {
	t.mu.Lock()
	t.count = c
	t.mu.Unlock()
	t.server.Store(to)
}

func (t *target) counted() *count {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// clients starts them; the returned function ends them, and the server that they send
// to then.
func (k kind) clients(to *target) (stop func()) {
	tr := &http.Transport{Protocols: k.protocols(), MaxIdleConnsPerHost: clients}
	client := &http.Client{Transport: tr, Timeout: time.Minute}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				c := to.counted()
				c.sent.Add(1)
				if err := k.post(client, to.server.Load().url); err != nil {
					c.failed.Add(1)
				}
				time.Sleep(k.pause)
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
	payload := bytes.NewReader(make([]byte, 100))
	var body io.Reader = payload
	if !k.h2 {
		body = struct{ io.Reader }{payload} // can't be sent again
	}
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
