package httpfault_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
)

const ordersPlan = `
name: what a client of orders must survive
seed: 11
rules:
  - name: overloaded
    where: {dependency: orders, protocol: http, path: "/orders*"}
    when: {first: 1}
    what: {kind: status, status: 503, retry_after: 2s, body: "try later\n"}
  - name: reply lost after the order was taken
    where: {dependency: orders, protocol: http, method: POST}
    when: {nth: 2}
    what: {kind: drop, at: after}
`

func Example() {
	plan, err := chaos.Parse("orders.yaml", []byte(ordersPlan))
	if err != nil {
		log.Fatal(err)
	}
	injector, err := chaos.New(plan, chaos.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var orders http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "taken") }
	handler := httpfault.Handler(orders, httpfault.Config{Dependency: "orders", Injector: injector})
	injector.Start()
	defer injector.Stop()

	server := httptest.NewServer(handler)
	defer server.Close()
	client := server.Client()
	for range 3 {
		resp, err := client.Post(server.URL+"/orders", "text/plain", strings.NewReader("one lamp"))
		if err != nil {
			fmt.Println("no answer:", errors.Is(err, io.EOF))
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			log.Fatal(err)
		}
		_ = resp.Body.Close()
		fmt.Printf("%d %q %s", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
	// Output:
	// 503 "2" try later
	// no answer: true
	// 200 "" taken
}
