//go:build !gotorch

package witness

// Check returns ErrAbsent: this program was built without the tag gotorch.
func Check() (detail string, err error) { return "", ErrAbsent }
