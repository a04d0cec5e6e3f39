// Package witness has what samtune computes repeated by gotorch, a second binding of libtorch for Go that was written
// independently of gotch. It is built with the tag gotorch alone (make test-gotorch): the program has no need of it.
package witness

import "errors"

// ErrAbsent says that the program was built without gotorch.
var ErrAbsent = errors.New("built without gotorch, samtune's second binding of libtorch (build tag gotorch)")
