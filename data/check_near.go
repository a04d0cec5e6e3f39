package data

import (
	"fmt"
	"image"

	"github.com/corona10/goimagehash"
)

// nearBits is up to how many of the 256 bits of their perceptual hashes two pictures are nearly the same. Of 100 pictures of 17 data
// sets, copies that were resized or made a tenth brighter differ by at most 10 bits, those packed as JPEG of quality 40 by at most 12
// but for one of 14. Of 23369 pairs those of different patients differ by 18 bits and more (DRIVE's retinas, all round and red; 46 in the
// other sets), neighbouring slices and frames of one patient by 4 and more.
const nearBits = 12

// hashSide is the side of the square of frequencies whose signs are the hash.
const hashSide = 16

// fingerprint is what is kept of a case's picture.
type fingerprint struct {
	id, patient, side, pixels string
	look                      *goimagehash.ExtImageHash
}

func (in *inspector) fingerprint(side string, c Case, img *Image) {
	look, err := goimagehash.ExtPerceptionHash(greyPicture(img), hashSide, hashSide)
	if err != nil { // only of a hash of another size
		return
	}
	in.seen = append(in.seen, fingerprint{c.ID, c.Patient, side, img.Hash(), look})
}

// duplicates reports pictures with the same pixels, and those that look nearly the same although they are of different patients or
// on different sides of the split.
func (in *inspector) duplicates() {
	first := map[string]int{}
	for i, a := range in.seen {
		if k, twice := first[a.pixels]; twice {
			in.find(Problem, FindingDuplicate, a.id, "", fmt.Sprintf("its picture, of the %s, has the same pixels as that of %s, of the %s", a.side, in.seen[k].id, in.seen[k].side))
			continue
		}
		first[a.pixels] = i
		best, bits := -1, nearBits+1
		for k, b := range in.seen[:i] {
			if a.patient == b.patient && a.side == b.side {
				continue
			}
			if d, err := a.look.Distance(b.look); err == nil && d < bits && b.pixels != a.pixels {
				best, bits = k, d
			}
		}
		if best >= 0 {
			b := in.seen[best]
			in.find(Warning, FindingNear, a.id, "", fmt.Sprintf("its picture, of the %s, looks nearly like that of %s, of the %s (%d of %d bits of their hashes differ)",
				a.side, b.id, b.side, bits, hashSide*hashSide))
		}
	}
}

// greyPicture is a picture's grey values as the image package has them.
func greyPicture(img *Image) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, img.Width, img.Height))
	for i := range out.Pix {
		out.Pix[i] = grey(img.Pix[3*i], img.Pix[3*i+1], img.Pix[3*i+2])
	}
	return out
}
