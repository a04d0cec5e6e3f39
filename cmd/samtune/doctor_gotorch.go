//go:build gotorch

package main

import (
	"samtune/internal/doctor"
	"samtune/internal/witness"
)

func init() {
	furtherChecks = append(furtherChecks, doctor.Agrees("gotorch", "two bindings of one libtorch disagree: build samtune again, and report what this says", witness.Check))
}
