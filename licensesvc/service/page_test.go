package service_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// TestEveryOutcomeHasATone: a word that the page does not know would be drawn as something
// that it is not.
func TestEveryOutcomeHasATone(t *testing.T) {
	var shown []string
	for _, v := range service.Outcomes() {
		shown = append(shown, v.Name)
	}
	if all := api.Outcomes(); !slices.Equal(shown, all) {
		t.Errorf("the page knows %q, and the API answers %q", shown, all)
	}
	// What the API's description says is what the constants say.
	for _, of := range []any{api.Answer{}, api.Problem{}} {
		field, _ := reflect.TypeOf(of).FieldByName("Outcome")
		for word := range strings.SplitSeq(field.Tag.Get("enum"), ",") {
			if !slices.Contains(shown, word) {
				t.Errorf("%T: the outcome %q has no tone", of, word)
			}
		}
	}
	css, err := os.ReadFile("../dashboard/page/style.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range service.Outcomes() {
		if !strings.Contains(string(css), "."+string(v.Tone)+" {") {
			t.Errorf("%s has the tone %q, for which the page has no colour", v.Name, v.Tone)
		}
	}
	tones := map[string]dashboard.Tone{}
	for _, v := range service.Outcomes() {
		tones[v.Name] = v.Tone
	}
	if tones["done"] == tones["error"] || tones["done"] == tones["refused"] || tones["error"] == tones["refused"] {
		t.Errorf("success, refusal and failure must look different: %v", tones)
	}
}
