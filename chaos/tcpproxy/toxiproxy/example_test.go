package toxiproxy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/backstay-go/backstay/chaos/tcpproxy/toxiproxy"
)

// Clients of Toxiproxy drive the proxies; the service connects to the proxy's listen address.
func ExampleNew() {
	api, err := toxiproxy.New(context.Background(), toxiproxy.Config{Seed: 7})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer api.Close()
	post := func(path, body string) {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
		fmt.Println(path, w.Code)
	}
	post("/proxies", `{"name": "redis", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:6379"}`)
	post("/proxies/redis/toxics", `{"type": "latency", "attributes": {"latency": 100, "jitter": 10}}`)
	post("/proxies/redis/toxics", `{"type": "fog"}`)
	// Output:
	// /proxies 201
	// /proxies/redis/toxics 200
	// /proxies/redis/toxics 400
}
