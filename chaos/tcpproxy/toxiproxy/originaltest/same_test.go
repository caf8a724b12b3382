package originaltest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// call is one request; PORT in it is a port that was free.
type call struct {
	method, path, body string
	// differs says how ours answers otherwise, and why; empty: it does not.
	differs string
}

var calls = []call{
	{"GET", "/version", "", "a build from source calls itself git"},
	{"GET", "/proxies", "", ""},
	{"POST", "/proxies", `{"name":"p","listen":"127.0.0.1:PORT","upstream":"127.0.0.1:1"}`, ""},
	{"POST", "/proxies", `{"name":"p","listen":"127.0.0.1:0","upstream":"127.0.0.1:1"}`, ""},
	{"POST", "/proxies", `{"listen":"127.0.0.1:0","upstream":"127.0.0.1:1"}`, ""},
	{"POST", "/proxies", `{"name":"q","listen":"127.0.0.1:0"}`, ""},
	{"POST", "/proxies", `{`, ""},
	{"POST", "/proxies", `{"name":"off","listen":"127.0.0.1:PORT","upstream":"127.0.0.1:1","enabled":false}`, ""},
	{"GET", "/proxies", "", ""},
	{"GET", "/proxies/p", "", ""},
	{"GET", "/proxies/none", "", ""},
	{"DELETE", "/proxies/none", "", ""},
	{"PATCH", "/proxies/none", `{}`, ""},
	{"POST", "/proxies/p", `{"enabled":false}`, ""},
	{"PATCH", "/proxies/p", `{"enabled":true}`, ""},
	{"PATCH", "/proxies/p", `{"upstream":"127.0.0.1:2"}`, ""},
	{"PATCH", "/proxies/p", `{`, ""},
	{"GET", "/proxies/p/toxics", "", ""},
	{"GET", "/proxies/none/toxics", "", ""},
	{"POST", "/proxies/p/toxics", `{"type":"latency","attributes":{"latency":100,"jitter":20}}`, ""},
	{"POST", "/proxies/p/toxics", `{"type":"latency","attributes":{"latency":100}}`, ""},
	{"POST", "/proxies/p/toxics", `{"type":"bandwidth","stream":"upstream","toxicity":0.5,"attributes":{"rate":7}}`, ""},
	{"POST", "/proxies/p/toxics", `{"name":"s","type":"slow_close","attributes":{"delay":7}}`, ""},
	{"POST", "/proxies/p/toxics", `{"name":"t","type":"timeout"}`, ""},
	{"POST", "/proxies/p/toxics", `{"name":"r","type":"reset_peer","attributes":{"timeout":7}}`, ""},
	{"POST", "/proxies/p/toxics", `{"name":"c","type":"slicer","attributes":{"average_size":8,"size_variation":2,"delay":9}}`, ""},
	{"POST", "/proxies/p/toxics", `{"name":"l","type":"limit_data","attributes":{"bytes":9}}`, ""},
	{"POST", "/proxies/p/toxics", `{"type":"latency","stream":"sideways"}`, ""},
	{"POST", "/proxies/p/toxics", `{"type":"lateness"}`, ""},
	{"POST", "/proxies/p/toxics", `{}`, ""},
	{"POST", "/proxies/p/toxics", `{`, ""},
	{"POST", "/proxies/none/toxics", `{"type":"latency"}`, ""},
	{"POST", "/proxies/off/toxics", `{"type":"latency","attributes":{"jitter":20}}`, ""},
	{"GET", "/proxies/p/toxics/latency_downstream", "", ""},
	{"GET", "/proxies/p/toxics/none", "", ""},
	{"GET", "/proxies/none/toxics/none", "", ""},
	{"POST", "/proxies/p/toxics/latency_downstream", `{"attributes":{"latency":5}}`, ""},
	{"PATCH", "/proxies/p/toxics/latency_downstream", `{"toxicity":0.25}`, ""},
	{"PATCH", "/proxies/p/toxics/latency_downstream", `{`, ""},
	{"PATCH", "/proxies/p/toxics/none", `{}`, ""},
	{"DELETE", "/proxies/p/toxics/none", "", ""},
	{"DELETE", "/proxies/p/toxics/s", "", ""},
	{"GET", "/proxies/p", "", ""},
	{"POST", "/populate", `[{"name":"p","listen":"127.0.0.1:PORT","upstream":"127.0.0.1:3"},{"name":"n","listen":"127.0.0.1:0","upstream":"127.0.0.1:1"}]`, ""},
	{"POST", "/populate", `[{"name":"q"}]`, ""},
	{"POST", "/populate", `[{"upstream":"127.0.0.1:1"}]`, ""},
	{"POST", "/populate", `{`, ""},
	{"POST", "/reset", "", ""},
	{"GET", "/proxies/off", "", ""},
	{"DELETE", "/proxies/p", "", ""},
	{"DELETE", "/proxies/p", "", ""},
	{"GET", "/nothing", "", ""},
	{"PUT", "/proxies", "", "the status is the same; ours says its name"},
}

// answer is what can be compared.
type answer struct {
	Status int
	Body   any
}

var port = regexp.MustCompile(`127\.0\.0\.1:\d{4,}`)

func (c call) ask(t *testing.T, base, free string, agent string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), c.method, base+c.path, strings.NewReader(strings.ReplaceAll(c.body, "PORT", free)))
	if err != nil {
		t.Fatal(err)
	}
	if agent != "" {
		req.Header.Set("User-Agent", agent)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{Status: resp.StatusCode}
	text := port.ReplaceAllString(string(b), "127.0.0.1:PORT")
	text = strings.ReplaceAll(text, `"Logger":{},`, "") // of its code, and nobody's business
	text = strings.ReplaceAll(text, `,"Logger":{}`, "")
	if err := json.Unmarshal([]byte(text), &a.Body); err != nil {
		a.Body = strings.TrimSpace(text)
	}
	return a
}

// free is a port that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

func TestAnswersAreTheSame(t *testing.T) {
	theirs, ours := servers(t)
	for _, c := range calls {
		their, our := c.ask(t, theirs, free(t), ""), c.ask(t, ours, free(t), "")
		if same := reflect.DeepEqual(their, our); same != (c.differs == "") {
			t.Errorf("%s %s %s\nToxiproxy %+v\nours      %+v\ndiffers: %q", c.method, c.path, c.body, their, our, c.differs)
		}
	}
	browser := call{method: "GET", path: "/proxies"}
	if their, our := browser.ask(t, theirs, "", "Mozilla/5.0"), browser.ask(t, ours, "", "Mozilla/5.0"); !reflect.DeepEqual(their, our) {
		t.Errorf("a browser\nToxiproxy %+v\nours      %+v", their, our)
	}
}
