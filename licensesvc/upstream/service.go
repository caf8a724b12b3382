package upstream

import (
	"net/http"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 10

// service is one dependency: its guard and its client.
type service struct {
	guard  *resilience.Guard
	client *rest.Client
}

func newService(cfg Config, base string, policy resilience.Policy) (*service, error) {
	if p, ok := cfg.Policies[policy.Name]; ok {
		policy = p
	}
	var transport http.RoundTripper
	if cfg.Transport != nil {
		transport = cfg.Transport(policy.Name)
	}
	if transport == nil {
		transport = rest.NewBase(policy.Bulkhead.Limit)
	}
	client, err := rest.NewClient(rest.ClientConfig{BaseURL: base, Base: transport, MaxBytes: maxAnswer, Observer: cfg.Observer})
	if err != nil {
		return nil, err
	}
	opts := make([]resilience.Option, 0, len(cfg.Listeners))
	for _, l := range cfg.Listeners {
		opts = append(opts, resilience.WithListener(l))
	}
	guard, err := resilience.New(policy, opts...)
	if err != nil {
		return nil, err
	}
	return &service{guard: guard, client: client}, nil
}

func (s *service) close() error {
	s.client.CloseIdleConnections()
	return s.guard.Close()
}
