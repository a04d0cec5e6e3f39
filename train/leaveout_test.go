package train

import (
	"reflect"
	"testing"

	"samtune/data"
)

func TestLeaveOut(t *testing.T) {
	for _, c := range []struct {
		patients []string
		want     [][]int
	}{
		{[]string{"a", "b", "a", "c"}, [][]int{{0, 2}, {1}, {0, 2}, {3}}},
		{[]string{"a", "a"}, [][]int{{0}, {1}}},
		{[]string{"a"}, [][]int{{0}}},
	} {
		var pictures []*data.Sample
		for _, p := range c.patients {
			pictures = append(pictures, &data.Sample{Patient: p})
		}
		if got := LeaveOut(pictures); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %v, want %v", c.patients, got, c.want)
		}
	}
}
