package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// mix is how often each kind of request is sent, of 100. It is that of the members in
// licensesvc/chaostest. A member without a license sends a request instead.
var mix = []struct {
	kind  string
	share int
}{{"request", 42}, {"renew", 14}, {"download", 14}, {"play", 12}, {"show", 10}, {"release", 5}, {"explain", 3}}

// described returns the mix in words.
func described() string {
	var all []string
	for _, k := range mix {
		all = append(all, fmt.Sprintf("%s %d %%", k.kind, k.share))
	}
	return strings.Join(all, ", ")
}

// members are the members and the licenses that they hold.
type members struct {
	host string
	idle conns
	n    int

	mu    sync.Mutex
	holds map[int][]string
}

// sample is one answered request.
type sample struct {
	took   time.Duration
	status int
}

// ask sends one request of a random member.
func (m *members) ask(r *rand.Rand, key string) (sample, error) {
	n := 1 + r.IntN(m.n)
	kind, license := m.choose(r, n)
	return m.play(r, n, kind, license, key)
}

// play sends one request of a member, and remembers the license that it was granted.
func (m *members) play(r *rand.Rand, n int, kind, license, key string) (sample, error) {
	base := "/v1/members/" + server.MemberID(n) + "/licenses"
	method, path, body := http.MethodPost, base+"/"+license, map[string]string{}
	switch kind {
	case "request":
		path = base
		studios := server.Studios()
		body["device"] = "device-" + string(rune('a'+r.IntN(2)))
		body["title"] = server.TitleID(studios[r.IntN(len(studios))], 1+r.IntN(server.TitlesPerStudio))
	case "show":
		method = http.MethodGet
	case "explain":
		method = http.MethodGet
		path += "/explanation"
	case "renew":
		path += "/renewals"
	case "download", "play":
		path += "/" + kind + "s"
	case "release":
		path += "/release"
	}
	begin := time.Now()
	status, answer, err := m.send(method, path, key, body)
	took := time.Since(begin)
	if err != nil {
		return sample{}, err
	}
	if kind == "request" && status == http.StatusCreated {
		var got struct {
			License struct {
				ID string `json:"license"`
			} `json:"license"`
		}
		if err := json.Unmarshal(answer, &got); err != nil {
			return sample{}, err
		}
		m.mu.Lock()
		m.holds[n] = append(m.holds[n], got.License.ID)
		m.mu.Unlock()
	}
	return sample{took, status}, nil
}

// choose returns what a member asks, and about which license.
func (m *members) choose(r *rand.Rand, n int) (kind, license string) {
	at := r.IntN(100)
	for _, k := range mix {
		if at -= k.share; at < 0 {
			kind = k.kind
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	held := m.holds[n]
	if kind == "request" || len(held) == 0 {
		return "request", ""
	}
	i := r.IntN(len(held))
	license = held[i]
	if kind == "release" {
		m.holds[n] = append(held[:i:i], held[i+1:]...)
	}
	return kind, license
}

// send sends one request on a connection that is idle, or on a new one.
func (m *members) send(method, path, key string, body map[string]string) (int, []byte, error) {
	var content []byte
	if method == http.MethodPost {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	c, err := m.idle.take(m.host)
	if err != nil {
		return 0, nil, err
	}
	a, closed, err := c.call(method, path, key, string(content))
	if err != nil || closed {
		return a.status, a.body, errors.Join(err, c.Close())
	}
	got := slices.Clone(a.body)
	m.idle.put(c)
	return a.status, got, nil
}
