package experiment

import (
	"fmt"
	"strings"
	"testing"

	"samtune/data"
)

// TestPicturesInMemory reads a set that is larger than its place in memory again and again: what is trained on is read once, so are the
// first others, what was looked at last stays, and a picture that changes meanwhile is noticed.
func TestPicturesInMemory(t *testing.T) {
	reads, shade := map[string]int{}, uint8(0)
	p := newPictures()
	p.read = func(id string) (*data.Sample, error) {
		if id == "none" {
			return nil, nil
		}
		reads[id]++
		img := &data.Image{Width: 4, Height: 4, Pix: make([]uint8, 48)}
		img.Pix[0] = shade
		return &data.Sample{ID: id, Image: img, Valid: data.FullMask(4, 4), Masks: map[string]*data.Mask{"t": data.NewMask(4, 4)}}, nil
	}
	p.budget = 0
	if err := p.keep([]data.Entry{{ID: "shot"}}); err != nil {
		t.Fatal(err)
	}
	p.budget = 3 * 80
	for range 3 {
		for i := range 10 {
			for _, id := range []string{fmt.Sprint(i), "shot", fmt.Sprint(i)} {
				if s, err := p.get(id); err != nil || s.ID != id {
					t.Fatalf("%v, %v, want %s", s, err, id)
				}
			}
			if len(p.stay) > 4 {
				t.Fatalf("%d pictures stay, want at most the shot and three others", len(p.stay))
			}
		}
	}
	if reads["shot"] != 1 || reads["2"] != 1 || reads["3"] != 3 || reads["9"] != 3 {
		t.Errorf("reads: %v, want the shot and the first three once and the others once in each round", reads)
	}
	p.get("9")
	if reads["9"] != 3 {
		t.Error("the picture that was looked at last is read again")
	}
	if s, err := p.get("none"); s != nil || err != nil {
		t.Errorf("%v, %v, want neither", s, err)
	}
	if err := p.keep([]data.Entry{{ID: "none"}}); err == nil {
		t.Error("a case that is not there is kept")
	}
	shade = 9
	if _, err := p.get("5"); err == nil || !strings.Contains(err.Error(), "case 5: its picture was changed") {
		t.Errorf("a changed picture: %v", err)
	}
}
