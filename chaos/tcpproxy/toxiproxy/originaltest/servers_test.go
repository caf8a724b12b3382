package originaltest

import (
	"net/http/httptest"
	"testing"

	original "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/backstay-go/backstay/chaos/tcpproxy/toxiproxy"
)

// servers are Toxiproxy's HTTP interface and ours, each on a separate server.
func servers(t *testing.T) (theirs, ours string) {
	t.Helper()
	s := httptest.NewServer(original.NewServer(original.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()).Routes())
	t.Cleanup(s.Close)
	api, err := toxiproxy.New(t.Context(), toxiproxy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	o := httptest.NewServer(api)
	t.Cleanup(func() {
		o.Close()
		if err := api.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.URL, o.URL
}
