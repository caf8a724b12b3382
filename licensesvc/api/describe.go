package api

import (
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// maxBody is the highest number of bytes that a request's body may have.
const maxBody = 64 << 10

// described are the problems that an operation may answer with, apart from what its method
// adds. Every status that a caller can get is listed.
var described = map[int]string{
	http.StatusForbidden:           "The rules do not allow it, or the caller's token.",
	http.StatusNotFound:            "There is no such license, or no such title.",
	http.StatusRequestTimeout:      "The body did not arrive in time.",
	http.StatusMisdirectedRequest:  "The service has another name.",
	http.StatusUnprocessableEntity: "Some fields can't be taken, or the Idempotency-Key was used for another request.",
	http.StatusTooManyRequests:     "The caller makes too many requests.",
	http.StatusInternalServerError: "The service failed.",
	http.StatusServiceUnavailable:  "A dependency failed, the outcome is not known, or the service has too much to do. Retry-After says when to try again.",
}

// operation returns the description of an operation, and adds its route. also are the
// statuses of success other than the usual one.
func (a *API) operation(h huma.API, id, summary, method, path string, scope Scope, status int, also ...int) huma.Operation {
	a.routes = append(a.routes, Route{Pattern: method + " " + path, Scope: scope, Handler: a})
	problems := map[int]string{}
	for status, text := range described {
		problems[status] = text
	}
	success := reflect.TypeFor[Answer]()
	if method == http.MethodPost {
		problems[http.StatusBadRequest] = "The body can't be read, or is no JSON."
		problems[http.StatusConflict] = "The rules do not allow it now."
		problems[http.StatusRequestEntityTooLarge] = "The body is too large."
		problems[http.StatusUnsupportedMediaType] = "The body must be JSON."
	}
	op := huma.Operation{
		OperationID: id, Summary: summary, Method: method, Path: path, DefaultStatus: status,
		// The body has been read before huma gets it.
		MaxBodyBytes: -1, BodyReadTimeout: -1,
		Responses: map[string]*huma.Response{},
	}
	if a.secured {
		problems[http.StatusUnauthorized] = "The caller has no valid token."
		op.Security = []map[string][]string{{"token": {string(scope)}}, {"password": {string(scope)}}}
		h.OpenAPI().Components.SecuritySchemes = map[string]*huma.SecurityScheme{
			"token": {Type: "http", Scheme: "bearer"}, "password": {Type: "http", Scheme: "basic", Description: "The token as the password, as browsers ask for it."}}
	}
	schemas := h.OpenAPI().Components.Schemas
	for status, text := range problems {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: text, Content: map[string]*huma.MediaType{
			problemType: {Schema: schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")}}}
	}
	for _, status := range also {
		r := &huma.Response{Description: successes[status], Headers: map[string]*huma.Header{"ETag": {Schema: &huma.Schema{Type: "string"}}}}
		if status != http.StatusNotModified {
			r.Content = map[string]*huma.MediaType{"application/json": {Schema: schemas.Schema(success, true, "Answer")}}
			r.Headers["Location"] = &huma.Header{Schema: &huma.Schema{Type: "string"}}
		}
		op.Responses[strconv.Itoa(status)] = r
	}
	return op
}

// successes describes the statuses of success that are not the usual one.
var successes = map[int]string{
	http.StatusOK:          "The same command was carried out before.",
	http.StatusAccepted:    "Promised or accepted: the store will have it later.",
	http.StatusNotModified: "The caller has it already.",
}
