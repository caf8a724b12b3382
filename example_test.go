package backstay_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

var read = resilience.OperationPolicy{
	Timeout: time.Second, AttemptTimeout: 300 * time.Millisecond, Idempotent: true,
	Retry: &resilience.RetryPolicy{MaxAttempts: 2}, Stale: &resilience.StalePolicy{MaxAge: time.Hour},
}

func downloads(ctx context.Context, session *cassandra.Session, member string) (int, error) {
	var n int
	err := session.Query("SELECT downloads FROM members WHERE id = ?", member).WithContext(ctx).Profile("read").Scan(&n)
	return n, err
}

func plan(ctx context.Context, client *rest.Client, guard *resilience.Guard, last *resilience.LastGood[Plan], member string) (Plan, error) {
	res, err := rest.Get[Plan](ctx, client, guard, "/v1/members/{id}", member, last.For(member))
	if err == nil && res.Source == resilience.Stale {
		fmt.Println("membership is down; its plan of", res.Age, "ago stands in:", res.Cause)
	}
	return res.Value, err
}

type Plan struct {
	Name string `json:"plan"`
}

// A Cassandra query and a REST call, neither of which can run without a guard.
func Example() {
	ctx := context.Background()
	session, err := cassandra.Connect(ctx, cassandra.Config{
		Hosts: []string{"10.0.0.1"}, Keyspace: "offline",
		Profiles: map[string]cassandra.Profile{"read": {OperationPolicy: read, Consistency: cassandra.LocalQuorum}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := resilience.New(resilience.Policy{
		Name: "membership", Bulkhead: resilience.BulkheadPolicy{Limit: 64}, Breaker: &resilience.BreakerPolicy{FailureRate: 0.5}, Default: read,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := rest.NewClient(rest.ClientConfig{BaseURL: "https://membership.internal"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(downloads(ctx, session, "m-1"))
	fmt.Println(plan(ctx, client, guard, resilience.NewLastGood[Plan](10_000), "m-1"))
}

// TestReadmeShowsTheExample holds the README's code against what is compiled here.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, ok := strings.Cut(string(readme), "```go\n")
	shown, _, end := strings.Cut(shown, "```")
	if !ok || !end {
		t.Fatal("the README has no Go code")
	}
	if !strings.Contains(string(source), shown) {
		t.Errorf("the README's code is not that of example_test.go:\n%s", shown)
	}
}
