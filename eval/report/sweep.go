package report

import (
	"io"
)

const SweepFile = "sweep.json"

func againSweep(w io.Writer, dir string, to *Files) error { return nil }
