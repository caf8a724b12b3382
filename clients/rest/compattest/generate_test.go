package compattest

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"

	"github.com/backstay-go/backstay/internal/goldentest"
	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/app"
)

const generated = "license/client.gen.go"

// TestTheGeneratedClientIsCurrent generates the client again from the service's own
// description. One operation is enough.
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
	goldentest.Equal(t, generated, code)
}
