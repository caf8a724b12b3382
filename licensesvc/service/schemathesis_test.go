package service_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/service"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// TestTheDescriptionIsTrue sends the requests that Schemathesis makes from the description of
// the API to a running service, with all its checks.
func TestTheDescriptionIsTrue(t *testing.T) {
	env := testenv.Python(t, "schemathesis==4.32.5")
	servers, err := server.Start(t.Context(), server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	tokens, err := api.NewTokens([]api.Grant{grant("everything", "", api.Read, api.Write, api.Admin)})
	if err != nil {
		t.Fatal(err)
	}
	in := start(t, func(c *service.Config) {
		c.Tokens = tokens
		c.Membership, c.Catalog, c.Keys = servers.URL("membership"), servers.URL("catalog"), servers.URL("key-service")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(env, "bin", "python"), "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", in.URL()+"/openapi.json",
		"--checks", "all", "--max-examples", "8", "--seed", "1", "--header", "Authorization: Bearer everything")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
