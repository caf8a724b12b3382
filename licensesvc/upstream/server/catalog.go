package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/backstay-go/backstay/licensesvc/upstream"
)

// TitlesPerStudio is the number of titles of each studio. The ids of a studio are, for example,
// meridian-001 to meridian-040; see Studios.
const TitlesPerStudio = 40

// studio is a studio with the terms of its titles. Titles with an even number have these terms,
// and titles with an odd number have stricter ones.
type studio struct {
	id    string
	terms upstream.Terms
	names []string
}

var studios = []studio{
	{"meridian", upstream.Terms{Version: "meridian-7", StudioDownloads: 10, TitleDownloadsPerYear: 5, TitlePlaysPerYear: 50, LicenseHours: 30 * 24, RenewalHours: 14 * 24, PlaybackHours: 48},
		[]string{"Harbour Lights", "The Long Tack", "Windward", "A Fair Current"}},
	{"halyard", upstream.Terms{Version: "halyard-3", StudioDownloads: 6, TitleDownloadsPerYear: 3, TitlePlaysPerYear: 20, LicenseHours: 14 * 24, RenewalHours: 7 * 24, PlaybackHours: 48},
		[]string{"Night Watch", "Salt", "The Bosun", "Lee Shore"}},
	{"capstan", upstream.Terms{Version: "capstan-12", StudioDownloads: 25, TitleDownloadsPerYear: 12, TitlePlaysPerYear: 200, LicenseHours: 60 * 24, RenewalHours: 30 * 24, PlaybackHours: 96},
		[]string{"Dead Reckoning", "Sextant", "Blue Peter", "Ebb"}},
	{"bowline", upstream.Terms{Version: "bowline-1", StudioDownloads: 4, TitleDownloadsPerYear: 2, TitlePlaysPerYear: 10, LicenseHours: 7 * 24, RenewalHours: 7 * 24, PlaybackHours: 24},
		[]string{"First Light", "Slack Water", "Knots", "The Pilot"}},
	{"fathom", upstream.Terms{Version: "fathom-4", StudioDownloads: 15, TitleDownloadsPerYear: 6, TitlePlaysPerYear: 60, LicenseHours: 30 * 24, RenewalHours: 30 * 24, PlaybackHours: 48},
		[]string{"Sounding", "Twelve Below", "Pressure", "The Descent Log"}},
}

// Catalog answers what a title is, and under which terms it may be taken offline.
//
//	GET /v1/titles/{title}
//
// It is safe for concurrent use and need not be closed.
type Catalog struct {
	mux    *http.ServeMux
	titles map[string]upstream.Title
}

// NewCatalog returns the catalog.
func NewCatalog() *Catalog {
	c := &Catalog{mux: http.NewServeMux(), titles: map[string]upstream.Title{}}
	for _, s := range studios {
		for n := 1; n <= TitlesPerStudio; n++ {
			terms := s.terms
			if n%2 == 1 {
				terms.TitleDownloadsPerYear = max(1, terms.TitleDownloadsPerYear-1)
				terms.LicenseHours /= 2
			}
			id := TitleID(s.id, n)
			c.titles[id] = upstream.Title{
				ID:     id,
				Studio: s.id,
				Name:   fmt.Sprintf("%s %d", s.names[n%len(s.names)], (n+len(s.names)-1)/len(s.names)),
				// One title in twenty is not available offline.
				Offline: n%20 != 0,
				Terms:   terms,
			}
		}
	}
	c.mux.HandleFunc("GET /v1/titles/{title}", c.get)
	return c
}

// ServeHTTP serves one request.
func (c *Catalog) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// Studios returns the ids of the studios.
func Studios() []string {
	ids := make([]string, len(studios))
	for i, s := range studios {
		ids[i] = s.id
	}
	return ids
}

// TitleID returns the id of a studio's nth title, with n from 1 to TitlesPerStudio. An id begins
// with the studio's id, so that the studio is known without asking the catalog.
func TitleID(studio string, n int) string { return fmt.Sprintf("%s-%03d", studio, n) }

func (c *Catalog) get(w http.ResponseWriter, r *http.Request) {
	title, ok := c.titles[r.PathValue("title")]
	if !ok {
		fail(w, http.StatusNotFound, fmt.Sprintf("there is no title %q: each of the studios %s has 001 to %03d, for example %s",
			r.PathValue("title"), strings.Join(Studios(), ", "), TitlesPerStudio, TitleID(studios[0].id, 2)))
		return
	}
	reply(w, title)
}
