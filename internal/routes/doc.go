// Package routes finds what belongs to a request by the patterns of http.ServeMux, for clients
// and servers alike.
//
// It imports the standard library only.
package routes
