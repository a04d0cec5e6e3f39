//go:build !gotorch

package witness

import (
	"errors"
	"testing"
)

func TestCheckWithoutGotorch(t *testing.T) {
	if detail, err := Check(); !errors.Is(err, ErrAbsent) || detail != "" {
		t.Errorf("%q, %v; want ErrAbsent", detail, err)
	}
}
