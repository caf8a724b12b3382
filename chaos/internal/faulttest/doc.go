// Package faulttest is for the tests of the places that apply faults: it lists, for a
// place, each parameter that each kind takes there, with two faults that differ in it
// alone. A place whose observable behaviour does not differ ignores the parameter.
//
// It may import the standard library and chaos; only tests import it.
package faulttest
