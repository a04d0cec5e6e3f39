package data

import (
	"fmt"
	"image"

	"github.com/corona10/goimagehash"
)

// nearBits is up to how many of the 256 bits of their perceptual hashes two pictures are nearly the same. Copies that were packed
// as JPEG, resized or made brighter differ by 0 to 12 bits. Over 18 real data sets different pictures of different patients differ by
// 18 and more (DRIVE's retinas, all round and red), neighbouring slices by 6 and more, frames of a video by 46.
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
