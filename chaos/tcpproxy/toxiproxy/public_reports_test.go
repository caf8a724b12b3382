package toxiproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What users of Toxiproxy reported, tried here. Each case sets toxics on a live connection
// whose peer echoes. No call of the interface hangs, and no line is lost in the middle.
func TestPublicReports(t *testing.T) {
	latency := `{"name": "l", "type": "latency", "stream": "upstream", "attributes": {"latency": 60000}}`
	for name, c := range map[string]struct {
		steps []string // a toxic to add, or the name of one to remove
		alive bool     // at the end; otherwise it may have been closed, but has lost nothing
	}{
		"Toxiproxy#159: removing a toxic before a timeout toxic hangs": {[]string{latency, `{"name": "t", "type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`, "l", "t"}, false},
		"Toxiproxy#210: removing a bandwidth of nothing hangs":         {[]string{`{"name": "b", "type": "bandwidth", "attributes": {"rate": 0}}`, "b"}, true},
		"Toxiproxy#603: a toxicity of 0 has an effect":                 {[]string{`{"name": "r", "type": "reset_peer", "toxicity": 0}`, "r", `{"name": "r", "type": "reset_peer", "toxicity": 0}`}, true},
		"Toxiproxy#148: a toxic that is updated on live connections":   {[]string{latency, "l"}, true},
	} {
		t.Run(name, func(t *testing.T) { tryReport(t, c.steps, c.alive) })
	}
}

func tryReport(t *testing.T, steps []string, alive bool) {
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	go func() {
		for {
			c, err := upstream.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	api, err := New(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	do := func(method, path, body string) string {
		t.Helper()
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		if w.Code > 299 {
			t.Fatal(method, path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	proxy := do(http.MethodPost, "/proxies", fmt.Sprintf(`{"name": "p", "listen": "127.0.0.1:0", "upstream": %q}`, upstream.Addr()))
	_, listen, _ := strings.Cut(proxy, `"listen":"`)
	listen, _, _ = strings.Cut(listen, `"`)
	c, err := net.Dial("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, "first\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	if line, err := in.ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	for _, s := range steps {
		if strings.HasPrefix(s, "{") {
			do(http.MethodPost, "/proxies/p/toxics", s)
		} else {
			do(http.MethodDelete, "/proxies/p/toxics/"+s, "")
		}
		_, _ = io.WriteString(c, "more\n")
	}
	_, _ = io.WriteString(c, "last\n")
	var got []string
	for line := ""; line != "last\n"; {
		if line, err = in.ReadString('\n'); err != nil {
			break
		}
		got = append(got, line)
	}
	if alive && err != nil || err == nil && len(got) != len(steps)+1 {
		t.Errorf("%q came back, of %d lines; %v", got, len(steps)+1, err)
	}
}
