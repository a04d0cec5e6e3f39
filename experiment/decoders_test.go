package experiment

import (
	"strings"
	"testing"

	"samtune/configs"
)

func TestDecodersAreFittedInAnOrderThatWorks(t *testing.T) {
	for _, c := range []struct {
		own     string
		compare []string
		want    string
	}{
		{"plain", nil, "plain"},
		{"linear", nil, "linear"},
		{"fine", nil, "linear fine"},
		{"fine", []string{"plain"}, "linear plain fine"},
		{"fine", []string{"linear", "plain"}, "linear plain fine"},
		{"linear", []string{"plain", "fine"}, "linear plain fine"},
		{"plain", []string{"fine"}, "linear fine plain"},
		{"plain", []string{"plain", "linear", "linear"}, "linear plain"},
	} {
		r := &Run{cfg: configs.Default()}
		r.cfg.Decoder, r.cfg.Compare = c.own, c.compare
		if got := strings.Join(r.decoders(), " "); got != c.want {
			t.Errorf("%s compared with %v: %s, want %s", c.own, c.compare, got, c.want)
		}
	}
}
