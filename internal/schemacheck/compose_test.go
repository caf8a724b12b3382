package schemacheck_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../.."

func load(t *testing.T) *types.Project {
	t.Helper()
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  root,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(root, "compose.yaml")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeFileIsValid(t *testing.T) {
	project := load(t)
	if names := project.ServiceNames(); !slices.Equal(names, []string{"cassandra", "jaeger"}) {
		t.Errorf("services %q", names)
	}
	for name, service := range project.Services {
		if service.HealthCheck == nil || len(service.HealthCheck.Test) < 2 {
			t.Errorf("%s has no health check, so that `up --wait` can't wait", name)
		}
		for _, port := range service.Ports {
			if ip := net.ParseIP(port.HostIP); ip == nil || !ip.IsLoopback() {
				t.Errorf("%s: port %d is open to the network: it has no password", name, port.Target)
			}
		}
		if _, tag, ok := strings.Cut(service.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s: image %q names no version", name, service.Image)
		}
	}
}

// The container and the program that the tests build are the same Jaeger.
func TestJaegerIsTheOneThatTestsUse(t *testing.T) {
	code, err := os.ReadFile(filepath.Join(root, "internal/jaegertest/build.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(load(t).Services["jaeger"].Image, ":")
	if !strings.Contains(string(code), `const Version = "v`+version+`"`) {
		t.Errorf("compose.yaml has Jaeger %s; internal/jaegertest builds another", version)
	}
}

// The ports are those that OpenTelemetry and Cassandra drivers expect.
func TestPorts(t *testing.T) {
	want := map[string][]uint32{"cassandra": {9042}, "jaeger": {4317, 4318, 16686}}
	for name, service := range load(t).Services {
		var ports []uint32
		for _, port := range service.Ports {
			ports = append(ports, port.Target)
		}
		if !slices.Equal(ports, want[name]) {
			t.Errorf("%s: ports %v, want %v", name, ports, want[name])
		}
	}
}
