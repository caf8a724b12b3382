package rest

import "net/http"

// idempotent reports whether a request may be sent twice because of its method, or
// because it has an idempotency key.
func idempotent(r *http.Request) bool {
	switch r.Method {
	case http.MethodPut, http.MethodDelete:
		return true
	}
	return isSafe(r) || r.Header.Get("Idempotency-Key") != "" || r.Header.Get("X-Idempotency-Key") != ""
}

func isSafe(r *http.Request) bool { return isSafeMethod(r.Method) }

func isSafeMethod(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// replayed reports whether net/http would send a request again that may have been
// processed. For that net/http looks at whether an idempotency key is present, not at
// its value.
func replayed(r *http.Request) bool {
	if isSafe(r) {
		return true
	}
	_, key := r.Header["Idempotency-Key"]
	_, other := r.Header["X-Idempotency-Key"]
	return key || other
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
