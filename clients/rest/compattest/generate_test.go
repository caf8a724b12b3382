package compattest

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"

	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/app"
)

const generated = "license/client.gen.go"

// TestTheGeneratedClientIsCurrent generates the client anew from the service's own
// description: that of one operation is enough. UPDATE_GOLDEN=1 writes it.
func TestTheGeneratedClientIsCurrent(t *testing.T) {
	service, err := api.New(api.Config{App: &app.Service{}, Guard: guard(t, api.Policy(patience)).Guard})
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	// The generator reads version 3.0, into which the service translates its own.
	service.ServeHTTP(answer, httptest.NewRequest("GET", "/openapi-3.0.json", nil))
	description, err := openapi3.NewLoader().LoadFromData(answer.Body.Bytes())
	if err != nil {
		t.Fatalf("the description: %v", err)
	}
	version := "v2.8.2"
	cfg := codegen.Configuration{
		PackageName:          "license",
		Generate:             codegen.GenerateOptions{Client: true, Models: true},
		OutputOptions:        codegen.OutputOptions{IncludeOperationIDs: []string{"request-license"}},
		NoVCSVersionOverride: &version,
	}.UpdateDefaults()
	code, err := codegen.Generate(description, cfg)
	if err != nil {
		t.Fatal(err)
	}
	// The package's comment is in doc.go.
	_, code, _ = strings.Cut(code, "//\n// Code generated")
	code = strings.Replace("// Code generated"+code, "\npackage", "\n\npackage", 1)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(generated, []byte(code), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(generated)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != code {
		t.Errorf("%s is not what the description gives: UPDATE_GOLDEN=1 go test -run Generated .", generated)
	}
}
